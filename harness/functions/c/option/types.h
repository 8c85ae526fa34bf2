/* The types that a monitor can ask for: some, of which a case has those that it says. */

typedef struct GSList { void *data; struct GSList *next; } GSList;
typedef struct QDict { int nothing; } QDict;
typedef struct QDictEntry { const char *key; } QDictEntry;
typedef struct Visitor { int nothing; } Visitor;

#define TYPE_USER_CREATABLE "user-creatable"
#define g_slist_free(list) ((void)(list))
#define qemu_printf(...) say(g_strdup_printf(__VA_ARGS__))
#define printf(...) qemu_printf(__VA_ARGS__)
/* A user says nothing but the type */
#define qdict_first(dict) ((const QDictEntry *)NULL)
#define qdict_next(dict, entry) ((const QDictEntry *)NULL)
#define visit_start_struct(...) true
#define visit_check_struct(...) ((void)0)
#define visit_end_struct(...) ((void)0)
#define object_property_set(...) true
#define object_property_try_add_child(root, id, obj, errp) ((obj)->references++)
#define object_property_del(root, id) abort()

/* Beside that of the option; the numbers are those of pcram_mirror::option::types::Type, by name */
enum { PCRAM_TYPE = 3, TYPES = 6 };
static ObjectClass the_types[TYPES] = {
    { .name = "accel" },
    { .name = "authz-list-file", .is_creatable = true },
    { .name = "memory-backend", .is_creatable = true, .is_abstract = true },
    { },
    { .name = "memory-backend-ram", .is_creatable = true },
    { .name = "secret", .is_creatable = true },
};

static ObjectClass *type_at(unsigned at)
{
    if (at == PCRAM_TYPE) {
        return backend_class();
    }
    return the_start->types >> at & 1 ? &the_types[at] : NULL;
}

static inline ObjectClass *object_class_by_name(const char *name)
{
    unsigned at;

    for (at = 0; at < TYPES; at++) {
        ObjectClass *class = type_at(at);

        if (class && !strcmp(class->name, name)) {
            return class;
        }
    }
    return NULL;
}

#define object_class_get_name(class) ((class)->name)
#define object_class_is_abstract(class) ((class)->is_abstract)
#define object_class_dynamic_cast(class, type) ((class)->is_creatable)

static GSList *object_class_get_list_sorted(const char *type, bool include_abstract)
{
    GSList *list = NULL;
    unsigned at;

    assert(!strcmp(type, TYPE_USER_CREATABLE));
    for (at = TYPES; at > 0; at--) {
        ObjectClass *class = type_at(at - 1);

        if (class && class->is_creatable && (include_abstract || !class->is_abstract)) {
            GSList *first = g_malloc0(sizeof(*first));

            *first = (GSList) { class, list };
            list = first;
        }
    }
    return list;
}

static inline int enum_parse(const char *const *lookup, const char *name, int otherwise)
{
    int at;

    for (at = 0; lookup[at]; at++) {
        if (!strcmp(lookup[at], name)) {
            return at;
        }
    }
    return otherwise;
}

#define qapi_enum_parse(lookup, name, otherwise, errp) enum_parse(*(lookup), name, otherwise)
