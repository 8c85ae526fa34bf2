/* Threads, of which none runs: what one begins with is told. */

#define fprintf(stream, ...) say(g_strdup_printf(__VA_ARGS__))
#define g_new0(type, n) ((type *)g_malloc0((n) * sizeof(type)))
typedef struct QemuThread { int thread; } QemuThread;
enum { QEMU_THREAD_JOINABLE, QEMU_THREAD_DETACHED };
enum { PTHREAD_CREATE_DETACHED = 1 };
/* pcram_mirror::option::thread::Fails */
enum { NOTHING_FAILS, ATTRIBUTE_FAILS, CREATE_FAILS };

/* Of a thread that is yet to begin, and how many there are */
typedef struct Attribute { bool detached; } Attribute;
static int attributes;
#define pthread_attr_t Attribute

static int pthread_attr_init(Attribute *attribute)
{
    if (the_start->thread_fails == ATTRIBUTE_FAILS) {
        return ENOMEM;
    }
    attributes++;
    attribute->detached = false;
    return 0;
}

#define pthread_attr_setdetachstate(attribute, state) ((attribute)->detached = (state))
#define pthread_attr_destroy(attribute) (attributes--)

static void *runs_a_cpu(void *cpu)
{
    return cpu;
}

/* A thread begins with the mask of whoever begins it */
#define pthread_create(thread, attribute, start, args)                                  \
    begin_thread(attribute, (args)->name, (args)->start_routine, (args)->arg)
static int begin_thread(const Attribute *attribute, const char *name, void *(*routine)(void *),
                        void *arg)
{
    assert(attributes == 1 && !strcmp(name, "CPU 0") && routine == runs_a_cpu && arg == &the_cpu);
    if (the_start->thread_fails == CREATE_FAILS) {
        return EAGAIN;
    }
    the_did->begun = true;
    the_did->detached = attribute->detached;
    the_did->begun_blocked = blocked();
    return 0;
}
