//! What a QEMU is configured with.

use regex::Regex;

/// The arguments of `configure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags(Vec<String>);

impl Default for Flags {
    /// The target with both accelerators and the tools, and those that show what the series does
    /// to others ([`super::beyond::TARGETS`]; nothing of them is compiled unless it is asked for);
    /// what promises speak of (vhost-user, COLO, microvm); nothing that depends on what else the
    /// system happens to have, no documents, no firmware, and nothing downloaded.
    fn default() -> Flags {
        let flags = [
            "--target-list=x86_64-softmmu,i386-softmmu,avr-softmmu,x86_64-linux-user",
            "--without-default-features",
            "--enable-tcg",
            "--enable-kvm",
            "--enable-tools",
            "--enable-vhost-user",
            "--enable-replication",
            "--disable-docs",
            "--enable-fdt=system",
            "--disable-werror",
            "--disable-debug-info",
            "--disable-install-blobs",
            "--disable-download",
        ];
        Flags(flags.map(str::to_owned).to_vec())
    }
}

impl Flags {
    /// All of them in one line, as they stand in a build's key.
    pub fn line(&self) -> String {
        self.0.join(" ")
    }

    /// Those that a `configure` knows, by what it says of itself in `help`.
    pub(super) fn known_in(&self, help: &str) -> Vec<&str> {
        self.0.iter().map(String::as_str).filter(|flag| is_known(flag, help)).collect()
    }
}

/// A flag is known where the help begins a line with it, or with the opposite of it, or with the
/// feature's bare name, as configure lists what its help says can be enabled and disabled.
fn is_known(flag: &str, help: &str) -> bool {
    let name = flag.trim_start_matches("--").split('=').next().unwrap_or_default();
    let feature = name.strip_prefix("enable-").or_else(|| name.strip_prefix("disable-"));
    let shape = match feature {
        Some(feature) => {
            format!(r"(?m)^ *(--(enable|disable)-)?{}($|[ =\[])", regex::escape(feature))
        }
        None => format!(r"(?m)^ *--{}($|[ =\[])", regex::escape(name)),
    };
    Regex::new(&shape).is_ok_and(|shape| shape.is_match(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configure_does_not_know_is_left_out() {
        // Shaped as the help of 10.0 and of 5.2.
        let new = "  --target-list=LIST       set target list (default: build all)\n  \
                   --without-default-features   default all --enable-* options to \"disabled\"\n  \
                   --disable-install-blobs  install provided firmware blobs\n  \
                   --enable-fdt[=CHOICE]    Whether and how to find the libfdt library\n  \
                   tcg             TCG support\n  tools           build support utilities\n";
        assert_eq!(
            Flags::default().known_in(new),
            [
                "--target-list=x86_64-softmmu,i386-softmmu,avr-softmmu,x86_64-linux-user",
                "--without-default-features",
                "--enable-tcg",
                "--enable-tools",
                "--enable-fdt=system",
                "--disable-install-blobs",
            ]
        );
        let old = "  --disable-werror         disable compilation abort on warning\n  \
                   --enable-kvm-more x\n  tcg-interpreter  TCI\n";
        assert_eq!(Flags::default().known_in(old), ["--disable-werror"]);
    }
}
