/* count-words FOLDER: the same, compiled: cc -O2 -o count-words count-words.c */
#include <ctype.h>
#include <stdio.h>

int main(int argc, char **argv) {
    char path[4096];
    long words = 0;
    int inside = 0, each;

    if (argc != 2 || snprintf(path, sizeof path, "%s/counts", argv[1]) >= (int)sizeof path)
        return 64;
    while ((each = getchar()) != EOF) {
        int letter = !isspace(each);
        words += letter && !inside;
        inside = letter;
    }
    FILE *file = fopen(path, "a");
    if (!file || fprintf(file, "c %ld\n", words) < 0 || fclose(file) != 0)
        return 1; /* left for another worker */
    return 0;
}
