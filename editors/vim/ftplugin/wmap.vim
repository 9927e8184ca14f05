if exists("b:did_ftplugin")
  finish
endif
let b:did_ftplugin = 1

setlocal comments=:# commentstring=#\ %s
setlocal expandtab shiftwidth=2 softtabstop=2 cindent cinkeys=0},!^F,o,O cinoptions=+2,(0,J1
if executable("wmap")
  setlocal formatprg=wmap\ fmt\ -
endif

let b:undo_ftplugin = "setlocal comments< commentstring< expandtab< shiftwidth< softtabstop< cindent< cinkeys< cinoptions< formatprg<"
