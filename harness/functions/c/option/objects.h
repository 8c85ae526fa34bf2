/*
 * QOM, as far as there are a type that was registered, the one object of it, another of whatever type, and
 * the root of all.  What is done to the object goes through what was registered.
 */

static const TypeInfo *the_type;
static HostMemoryBackendClass the_backend_class;
static struct {
    char *(*get)(Object *obj, Error **errp);
    void (*set)(Object *obj, const char *value, Error **errp);
} the_path;
static Object *the_backend, the_other, the_root;

#define MEMORY_BACKEND_CLASS(class) (assert_is_class(class), &the_backend_class)
#define OBJECT_CLASS(class) ((ObjectClass *)(class))
#define USER_CREATABLE_CLASS(class) (&OBJECT_CLASS(class)->creatable)
#define USER_CREATABLE(object) (object)
#define object_get_objects_root() (&the_root)
#define object_property_find(...) HAS(OBJECT_EXISTS)
#define object_get_typename(object) (the_type->name)

static void type_register_static(const TypeInfo *info)
{
    assert(!the_type && !strcmp(info->parent, TYPE_MEMORY_BACKEND));
    the_type = info;
}

static inline void assert_is_class(ObjectClass *class)
{
    assert(class == &the_backend_class.parent_class);
}

static inline void object_class_property_add_str(ObjectClass *class, const char *name,
                                                 char *(*get)(Object *, Error **),
                                                 void (*set)(Object *, const char *, Error **))
{
    assert_is_class(class);
    assert(!strcmp(name, "path"));
    the_path.get = get;
    the_path.set = set;
}

static inline void object_class_property_set_description(ObjectClass *class, const char *name,
                                                         const char *text)
{
    assert_is_class(class);
    assert(the_path.set && !strcmp(name, "path"));
}

/* The class, as whoever first asks for it has it made.  Of its parent, it can be made by a user. */
static ObjectClass *backend_class(void)
{
    ObjectClass *class = &the_backend_class.parent_class;

    assert(the_type && the_type->class_init);
    if (!class->name) {
        class->name = the_type->name;
        class->is_creatable = true;
        the_type->class_init(class, the_type->class_data);
    }
    return class;
}

static Object *object_new(const char *type)
{
    if (strcmp(type, backend_class()->name)) {
        the_other = (Object) { .references = 1 };
        return &the_other;
    }
    assert(!the_backend && the_type->instance_init && the_type->instance_finalize);
    assert(the_backend_class.alloc && the_path.get && the_path.set);
    the_backend = g_malloc0(the_type->instance_size);
    the_backend->references = 1;
    the_backend->canonical = true;
    MEMORY_BACKEND(the_backend)->prealloc = HAS(MEM_PREALLOC);
    the_type->instance_init(the_backend);
    return the_backend;
}

static void object_unref(Object *obj)
{
    uint64_t before = pieces_freed;

    if (obj == &the_other) {
        obj->references--;
        return;
    }
    assert(obj == the_backend && obj->references > 0);
    if (--obj->references == 0) {
        /* Its region goes first, and has its block close the file */
        if (MEMORY_BACKEND(obj)->mr.size) {
            assert(MEMORY_BACKEND(obj)->mr.destructor);
            MEMORY_BACKEND(obj)->mr.destructor(&MEMORY_BACKEND(obj)->mr);
        }
        the_type->instance_finalize(obj);
        the_did->freed = pieces_freed - before;
        the_backend = NULL;
    }
}

static inline void object_property_add_child(Object *parent, const char *id, Object *obj)
{
    assert(parent == &the_root);
    obj->references++;
    obj->parented = true;
    strcpy(obj->id, id);
}

static void object_unparent(Object *obj)
{
    if (obj == OBJECT(&MEMORY_BACKEND(the_backend)->mr)) {
        return;
    }
    obj->parented = false;
    object_unref(obj);
}

static inline void object_property_set_bool(Object *obj, const char *name, bool value, Error **errp)
{
    assert(!strcmp(name, "x-use-canonical-path-for-ramblock-id"));
    obj->canonical = value;
}

static inline void object_property_set_int(Object *obj, const char *name, uint64_t value,
                                           Error **errp)
{
    assert(!strcmp(name, "size"));
    MEMORY_BACKEND(obj)->size = value;
}

/* 5.2 names the object, later versions link it */
#define object_property_set_link(obj, name, value, errp)                                \
    (assert_is_machine(obj, name), the_machine.memdev = (value))

static inline void assert_is_machine(Object *obj, const char *name)
{
    assert(obj == OBJECT(&the_machine) && !strcmp(name, "memory-backend"));
}

static inline void object_property_set_str(Object *obj, const char *name, const char *value,
                                           Error **errp)
{
    Error *err = NULL;

    if (obj == the_backend) {
        assert(!strcmp(name, "path"));
        the_path.set(obj, value, &err);
        assert(!err);
        return;
    }
    assert_is_machine(obj, name);
    assert(!strcmp(value, the_backend->id));
    the_machine.memdev = the_backend;
}

static bool user_creatable_complete(Object *obj, Error **errp)
{
    bool done;

    if (obj == &the_other) {
        return true;
    }
    done = ALLOCATED(the_backend_class.alloc(MEMORY_BACKEND(obj), errp), errp);
    assert(done == !*errp);
    return done;
}
