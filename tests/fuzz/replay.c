/* replay.c: runs a fuzz target over files and folders of files, for builds without libFuzzer: the seeds, and
 * inputs that once broke something, are then ordinary tests. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (!file || fstat(fileno(file), &st) != 0) {
        perror(path);
        return 1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *bytes =
        malloc(size ? size : 1); /* exactly its size, so that a sanitizer sees reads past the end */
    int bad = !bytes || fread(bytes, 1, size, file) != size;
    if (bad)
        fprintf(stderr, "%s: cannot read it\n", path);
    else
        LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    fclose(file);
    ++*count;
    return bad;
}

static int run_path(const char *path, size_t *count)
{
    DIR *dir = opendir(path);
    if (!dir)
        return run_file(path, count);
    int bad = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char inner[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        bad |= run_path(inner, count);
    }
    closedir(dir);
    return bad;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    int bad = 0;
    for (int i = 1; i < argc; i++)
        bad |= run_path(argv[i], &count);
    printf("%zu inputs\n", count);
    return bad || count == 0;
}
