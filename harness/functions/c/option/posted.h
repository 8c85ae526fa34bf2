/* What the posting needs beside.  What it says is told by its arguments alone. */

typedef unsigned long ram_addr_t;

static void say_arguments(const char *format, ...)
{
    const char *between = "";
    va_list ap;

    va_start(ap, format);
    while ((format = strchr(format, '%'))) {
        if (format[1] == 's') {
            say(g_strdup_printf("%s%s", between, va_arg(ap, const char *)));
        } else {
            say(g_strdup_printf("%s%lu", between, va_arg(ap, unsigned long)));
        }
        between = "|";
        format++;
    }
    va_end(ap);
    say("\n");
}

#define fprintf(stream, ...) say_arguments(__VA_ARGS__)

/* Whether a write to the first byte is in the file at once */
static bool is_shared(char *host, int fd)
{
    char seen, before = *host;

    *host = before + 1;
    if (pread(fd, &seen, 1, 0) != 1) {
        return false;
    }
    *host = before;
    return seen == (char)(before + 1);
}
