/* What prints of each block: into a text, whatever it is for; the names of files are a case's. */

typedef struct { char text[1 << 13]; size_t length; } GString;
typedef GString Monitor;
static GString the_text;
/* Whether the host tells which file is behind a descriptor */
static bool the_links;

static GString *g_string_new(const char *text)
{
    the_text.length = sprintf(the_text.text, "%s", text);
    return &the_text;
}

__attribute__((format(printf, 2, 3))) static void g_string_append_printf(GString *to,
                                                                       const char *format, ...)
{
    size_t room = sizeof(to->text) - to->length;
    va_list arguments;

    va_start(arguments, format);
    to->length += vsnprintf(to->text + to->length, room, format, arguments);
    va_end(arguments);
    assert(to->length < sizeof(to->text));
}

#define monitor_printf(...) g_string_append_printf(__VA_ARGS__)

__attribute__((format(printf, 1, 2))) static char *g_strdup_printf(const char *format, ...)
{
    char text[64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return strdup(text);
}

static inline char *g_file_read_link(const char *link, void *error)
{
    int fd;

    assert(sscanf(link, "/proc/self/fd/%d", &fd) == 1);
    return the_links ? g_strdup_printf("/file %d", fd) : NULL;
}
