# cmake -DFROM=FILE -DTO=FILE.c -DNAME=name -P embed.cmake: a file as an array of C, ended by NUL.
file(READ "${FROM}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE "${TO}" "const unsigned char ${NAME}[] = {\n${bytes}0};\n")
