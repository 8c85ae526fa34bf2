//! What a QEMU is configured with.

use regex::Regex;

use super::toolchain::Toolchain;

/// The arguments of `configure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags(Vec<String>);

impl Default for Flags {
    /// The target with both accelerators and the tools, and those that show what the series does
    /// to others ([`super::beyond`]; nothing of them is compiled unless it is asked for);
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
    /// With those that a toolchain series brings.
    #[must_use]
    pub fn with(mut self, toolchain: Option<&Toolchain>) -> Flags {
        self.0.extend(toolchain.into_iter().flat_map(Toolchain::flags).cloned());
        self
    }

    /// All of them in one line, as they stand in a build's key.
    pub fn line(&self) -> String {
        self.0.join(" ")
    }

    /// Those that a `configure` knows, by what it says of itself in `help`; of the targets, those
    /// that it lists, where it lists them.
    pub(super) fn known_in(&self, help: &str) -> Vec<String> {
        let known = self.0.iter().filter(|flag| is_known(flag, help));
        known.map(|flag| with_known_targets(flag, help).unwrap_or_else(|| flag.clone())).collect()
    }
}

/// The flag that lists targets, with those that the help lists as well.
fn with_known_targets(flag: &str, help: &str) -> Option<String> {
    let wanted = flag.strip_prefix("--target-list=")?;
    let (_, listed) = help.split_once("Available targets:")?;
    let known = |target: &&str| listed.split_whitespace().any(|word| word == *target);
    let kept: Vec<_> = wanted.split(',').filter(known).collect();
    Some(format!("--target-list={}", kept.join(",")))
}

/// A flag is known where the help begins a line with it, or with the opposite of it, or with the
/// feature's bare name, as configure lists what its help says can be enabled and disabled. One that
/// has a value is not known where the help has the same flag without one.
fn is_known(flag: &str, help: &str) -> bool {
    let (name, value) = match flag.trim_start_matches("--").split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag.trim_start_matches("--"), None),
    };
    let feature = name.strip_prefix("enable-").or_else(|| name.strip_prefix("disable-"));
    let shape = match feature {
        Some(feature) if value.is_some() => {
            let feature = regex::escape(feature);
            format!(r"(?m)^ *(--(enable|disable)-{feature}[=\[]|{feature}($|[ =\[]))")
        }
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

    #[test]
    fn a_configure_of_2011_gets_what_it_understands() {
        // Shaped as the help of 1.0: it lists its targets, and its flags have no values.
        let help = "  --target-list=LIST       set target list (default: build everything)\n\
                    \x20                          Available targets: i386-softmmu x86_64-softmmu \n\
                    \x20                          alpha-softmmu x86_64-linux-user \n\n\
                    \x20 --enable-kvm             enable KVM acceleration support\n\
                    \x20 --enable-fdt             enable fdt device tree\n\
                    \x20 --disable-attr           disables attr and xattr support\n";
        let extra = ["--disable-attr", "--disable-fdt", "--disable-opengl"].map(str::to_owned);
        let flags = Flags([Flags::default().0, extra.to_vec()].concat());
        assert_eq!(
            flags.known_in(help),
            [
                "--target-list=x86_64-softmmu,i386-softmmu,x86_64-linux-user",
                "--enable-kvm",
                "--disable-attr",
                "--disable-fdt",
            ]
        );
    }
}
