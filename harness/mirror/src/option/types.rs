//! The types that a monitor's `object_add` lists and takes, on QEMU 5.2 and later: qom/object_interfaces.c.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A type, in the order of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    /// Nobody makes it by itself (`object_class_dynamic_cast`).
    Accel,
    /// As QAPI has another name for it, nobody makes it in 6.0 and later.
    AuthzListFile,
    /// What the others of its kind have in common.
    MemoryBackend,
    /// The option's own, which there always is.
    MemoryBackendPcram,
    /// RAM as ever.
    MemoryBackendRam,
    /// A password.
    Secret,
}

impl Type {
    /// Every type; its place is its number in C.
    pub const ALL: [Type; 6] = [
        Type::Accel,
        Type::AuthzListFile,
        Type::MemoryBackend,
        Type::MemoryBackendPcram,
        Type::MemoryBackendRam,
        Type::Secret,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Type::Accel => "accel",
            Type::AuthzListFile => "authz-list-file",
            Type::MemoryBackend => "memory-backend",
            Type::MemoryBackendPcram => "memory-backend-pcram",
            Type::MemoryBackendRam => "memory-backend-ram",
            Type::Secret => "secret",
        }
    }
}

/// What a monitor says behind `object_add`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectAdd {
    /// `help`.
    Help,
    /// A type; in 6.0 and later, QAPI looks at it first, and nothing is asked here.
    Type(Type),
}

/// The types that there are.
pub struct Types<'a> {
    /// Those beside the option's.
    pub others: &'a BTreeSet<Type>,
    /// Whether a class says that only QEMU itself makes its objects; else QAPI lists what others make.
    pub internal: bool,
}

impl Types<'_> {
    fn has(&self, of: Type) -> bool {
        of == Type::MemoryBackendPcram || self.others.contains(&of)
    }

    /// What a monitor is told.
    pub fn object_add(&self, asks: ObjectAdd) -> Vec<String> {
        match asks {
            ObjectAdd::Help => self.user_creatable_print_types(),
            ObjectAdd::Type(of) if self.internal => vec![self.user_creatable_add_type(of)],
            ObjectAdd::Type(_) => Vec::new(),
        }
    }

    /// The list of what a user can make (`user_creatable_print_types`).
    fn user_creatable_print_types(&self) -> Vec<String> {
        let listed = |of: &Type| match of {
            Type::Accel | Type::MemoryBackend | Type::MemoryBackendPcram => false,
            Type::AuthzListFile => self.internal && self.has(*of),
            Type::MemoryBackendRam | Type::Secret => self.has(*of),
        };
        let listed = Type::ALL.iter().filter(|of| listed(of));
        let caption = "List of user creatable objects:".to_owned();
        [caption].into_iter().chain(listed.map(|of| format!("  {}", of.name()))).collect()
    }

    /// Whether an object is made, or why not (`user_creatable_add_type` of 5.2).
    fn user_creatable_add_type(&self, of: Type) -> String {
        let name = of.name();
        match of {
            _ if !self.has(of) => format!("invalid object type: {name}"),
            Type::Accel | Type::MemoryBackendPcram => {
                format!("object type '{name}' isn't supported by object-add")
            }
            Type::MemoryBackend => format!("object type '{name}' is abstract"),
            Type::AuthzListFile | Type::MemoryBackendRam | Type::Secret => {
                format!("{name} is made")
            }
        }
    }
}
