//! What guests boot that comes from a distribution: SeaBIOS, and a Linux kernel with its modules.
//!
//! The packages are those of this machine's own suite. They are downloaded, unpacked and picked
//! from, and never installed. What was picked is kept in the cache, under a name that is a hash of
//! the packages and their versions, and taken from there from then on.

use crate::cache::{Cache, Kind, Lock, touch};
use crate::event::{Events, Outcome, Step};
use crate::failure::Failure;
use crate::process::{self, Ending};
use crate::source::apt::{Apt, Binary};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The packages that have firmware: SeaBIOS, and QEMU's option ROMs, by which `-kernel` boots.
const FIRMWARE: [&str; 2] = ["seabios", "qemu-system-data"];
/// The package that depends on the newest kernel, of the flavour that has no drivers but those of
/// virtual machines.
const KERNEL: &str = "linux-image-cloud-amd64";
/// What is picked from the packages: all files in the first folder, these in the second.
const SEABIOS: &str = "usr/share/seabios";
const OPTION_ROMS: &str = "usr/share/qemu";
const OPTION_ROM_NAMES: [&str; 3] = ["kvmvapic.bin", "linuxboot.bin", "linuxboot_dma.bin"];
/// The modules that the Linux guest loads, beside those that these depend on. A kernel may have some
/// of them built in.
const MODULES: [&str; 2] = ["virtio_pci", "virtio_balloon"];
/// The number of the rules by which files are picked. Raised when they change, so that what was
/// picked by others is not taken.
const RULES: u32 = 1;
/// How long the unpacking of one module may take.
const UNPACK: Duration = Duration::from_secs(60);

/// The name of an entry's record: what it was picked from.
const RECORD: &str = "packages.toml";

/// Firmware, a kernel and its modules, which no other run prunes while this value lives.
#[derive(Debug)]
pub struct Images {
    folder: PathBuf,
    record: Record,
    _lock: Lock,
}

/// The packages that images were picked from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    rules: u32,
    packages: Vec<Package>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Package {
    name: String,
    version: String,
}

impl Images {
    /// The folder of firmware files, for `-L`.
    pub fn firmware(&self) -> PathBuf {
        self.folder.join("firmware")
    }

    /// The kernel, for `-kernel`.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// The modules of that kernel, whose names sort in the order in which they are to be loaded.
    ///
    /// # Errors
    /// Where the cache cannot be read.
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("modules");
        let entries =
            fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()));
        let mut modules: Vec<_> = entries?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        modules.sort();
        Ok(modules)
    }

    /// The packages and their versions, in a line.
    pub fn description(&self) -> String {
        let packages = self.record.packages.iter();
        packages.map(|it| format!("{} {}", it.name, it.version)).collect::<Vec<_>>().join(", ")
    }
}

/// The images that the cache holds, else those of the newest packages that this machine's apt
/// knows, which then are in the cache.
///
/// # Errors
/// A [`Failure`] where there are none, and none can be had.
pub fn images(cache: &Cache, events: &Events, offline: bool) -> Result<Images> {
    events.step("guests", "firmware and a kernel from the distribution", "", |step| {
        let _lock = cache.lock("guest-images", step)?;
        let images = match cached(cache)? {
            Some(images) => images,
            None if offline => bail!(Failure::missing(
                "the cache holds no firmware and no kernel for guests, and no network may be \
                 reached for them: run once without --offline"
            )),
            None => fetch(cache, step)?,
        };
        let outcome = Outcome::new(images.description());
        Ok((images, outcome))
    })
}

/// The images in the cache that were used last.
///
/// # Errors
/// Where the cache cannot be read.
pub fn cached(cache: &Cache) -> Result<Option<Images>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(cache.folder(Kind::Guest)).context("reading the cache")? {
        let entry = entry?;
        let used = entry.path().join(RECORD).metadata().and_then(|it| it.modified());
        found.extend(used.ok().map(|used: SystemTime| (used, entry.file_name())));
    }
    found.sort();
    while let Some((_, name)) = found.pop() {
        // Between the look and the lock it may have been pruned.
        if let Ok(images) = open(cache, &name.to_string_lossy()) {
            return Ok(Some(images));
        }
    }
    Ok(None)
}

fn open(cache: &Cache, name: &str) -> Result<Images> {
    let lock = cache.share(&Kind::Guest.lock(name))?;
    let folder = cache.folder(Kind::Guest).join(name);
    let record = fs::read_to_string(folder.join(RECORD))?;
    let record: Record = toml::from_str(&record)?;
    ensure!(record.rules == RULES, "{name} was picked by other rules");
    touch(&folder.join(RECORD))?;
    Ok(Images { folder, record, _lock: lock })
}

fn fetch(cache: &Cache, step: &Step) -> Result<Images> {
    step.progress(0, 3, "reading the index of packages");
    let apt = Apt::of_this_machine(cache)?;
    let binary = |name: &str| {
        apt.binary(name).ok_or_else(|| {
            let unread = apt.unread.iter().map(|line| format!("; {line}")).collect::<String>();
            Failure::missing(format!("this machine's apt knows no package {name}{unread}"))
        })
    };
    let newest = binary(KERNEL)?;
    let kernel = newest.depends.iter().find(|name| name.starts_with("linux-image-"));
    let kernel = kernel.with_context(|| format!("{KERNEL} depends on no kernel"))?;
    let packages = [binary(FIRMWARE[0])?, binary(FIRMWARE[1])?, binary(kernel)?];

    let unpacked = cache.scratch(&cache.folder(Kind::Guest))?;
    for (at, package) in packages.iter().enumerate() {
        step.progress(at as u64, 3, format!("downloading {} {}", package.name, package.version));
        apt.unpack_binary(package, unpacked.path())?;
    }
    let record = record(&packages);
    let picked = cache.scratch(&cache.folder(Kind::Guest))?;
    pick(unpacked.path(), picked.path())?;
    fs::write(picked.path().join(RECORD), toml::to_string(&record)?)?;

    let name = key(&record);
    // The name says the content: what stands there already is the same.
    let place = cache.folder(Kind::Guest).join(&name);
    if !place.exists() {
        fs::rename(picked.keep(), &place).with_context(|| format!("making {}", place.display()))?;
    }
    open(cache, &name)
}

fn record(packages: &[Binary]) -> Record {
    let package = |it: &Binary| Package { name: it.name.clone(), version: it.version.clone() };
    Record { rules: RULES, packages: packages.iter().map(package).collect() }
}

fn key(record: &Record) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("rules {}\n", record.rules).as_bytes());
    for Package { name, version } in &record.packages {
        hasher.update(format!("{name} {version}\n").as_bytes());
    }
    hasher.finalize().to_hex()[..20].to_owned()
}

/// Copies from unpacked packages what guests need.
fn pick(packages: &Path, to: &Path) -> Result<()> {
    let firmware = to.join("firmware");
    fs::create_dir(&firmware)?;
    let seabios = fs::read_dir(packages.join(SEABIOS)).context("the package seabios is empty")?;
    for file in seabios {
        let file = file?;
        copy(&file.path(), &firmware.join(file.file_name()))?;
    }
    for name in OPTION_ROM_NAMES {
        copy(&packages.join(OPTION_ROMS).join(name), &firmware.join(name))?;
    }
    let boot = fs::read_dir(packages.join("boot")).context("the package has no kernel")?;
    let boot: Vec<_> = boot.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    let kernel = boot.iter().find(|path| name(path).starts_with("vmlinuz-"));
    copy(kernel.context("the package has no kernel")?, &to.join("vmlinuz"))?;

    let modules = to.join("modules");
    fs::create_dir(&modules)?;
    let mut files = Vec::new();
    for folder in ["lib/modules", "usr/lib/modules"] {
        find_files(&packages.join(folder), &mut files)?;
    }
    let mut taken = Vec::new();
    for module in MODULES {
        take_module(module, &files, &modules, &mut taken)?;
    }
    Ok(())
}

/// Copies a module, if it is among `files`, behind those that it depends on; their names begin with
/// their place in the order.
fn take_module(module: &str, files: &[PathBuf], to: &Path, taken: &mut Vec<String>) -> Result<()> {
    let is_it = |file: &&PathBuf| {
        let name = name(file).replace('-', "_");
        name.split_once(".ko").is_some_and(|(stem, _)| stem == module)
    };
    let Some(file) = files.iter().find(is_it) else { return Ok(()) };
    if taken.iter().any(|it| it == module) {
        return Ok(());
    }
    let copied = to.join(name(file));
    copy(file, &copied)?;
    if copied.extension() == Some(OsStr::new("xz")) {
        run(Command::new("xz").arg("--decompress").arg(&copied))?;
    }
    let plain = to.join(module).with_extension("ko");
    fs::rename(copied.with_file_name(name(file).trim_end_matches(".xz")), &plain)?;
    for needed in depends(&fs::read(&plain)?) {
        take_module(&needed, files, to, taken)?;
    }
    fs::rename(&plain, to.join(format!("{:02}-{module}.ko", taken.len())))?;
    taken.push(module.to_owned());
    Ok(())
}

/// The modules that a module says it depends on: `depends=a,b`, between zeros.
fn depends(module: &[u8]) -> Vec<String> {
    let entries = module.split(|&byte| byte == 0);
    let said = entries.filter_map(|entry| entry.strip_prefix(b"depends=")).next();
    let said = String::from_utf8_lossy(said.unwrap_or_default()).replace('-', "_");
    said.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut said = String::new();
    let status = process::run(command, Ending::Kill, UNPACK, |line| said.push_str(line))
        .map_err(|error| Failure::missing(error.to_string()))?;
    if !status.success() {
        bail!("{program} ended with {status}: {said}");
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Adds every file below a folder, where there is one.
fn find_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find_files(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::cache;

    /// What unpacked packages look like, with the modules in one of the two places.
    fn packages(modules: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let modules = format!("{modules}/6.1.0/kernel/drivers");
        let files = [
            "usr/share/seabios/bios-256k.bin".to_owned(),
            "usr/share/qemu/kvmvapic.bin".into(),
            "usr/share/qemu/linuxboot.bin".into(),
            "usr/share/qemu/linuxboot_dma.bin".into(),
            "usr/share/qemu/openbios-ppc".into(),
            "boot/config-6.1.0".into(),
            "boot/vmlinuz-6.1.0".into(),
            format!("{modules}/virtio/virtio-ring.ko"),
            format!("{modules}/virtio/virtio_balloon.ko"),
            format!("{modules}/net/virtio_net.ko"),
        ];
        for file in files {
            let path = dir.path().join(&file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let virtio = dir.path().join(modules).join("virtio");
        for (module, needs) in [("virtio_pci", "virtio,virtio-ring"), ("virtio", "virtio-ring")] {
            let content = format!("\0license=GPL\0depends={needs}\0name={module}\0");
            fs::write(virtio.join(format!("{module}.ko")), content).unwrap();
        }
        dir
    }

    #[test]
    fn what_guests_need_is_picked_and_nothing_else() {
        for place in ["lib/modules", "usr/lib/modules"] {
            let (packages, to) = (packages(place), tempfile::tempdir().unwrap());
            pick(packages.path(), to.path()).unwrap();
            let mut files = Vec::new();
            find_files(to.path(), &mut files).unwrap();
            let mut names: Vec<_> =
                files.iter().map(|file| file.strip_prefix(to.path()).unwrap()).collect();
            names.sort();
            let expected = [
                "firmware/bios-256k.bin",
                "firmware/kvmvapic.bin",
                "firmware/linuxboot.bin",
                "firmware/linuxboot_dma.bin",
                "modules/00-virtio_ring.ko",
                "modules/01-virtio.ko",
                "modules/02-virtio_pci.ko",
                "modules/03-virtio_balloon.ko",
                "vmlinuz",
            ];
            assert_eq!(names, expected.map(Path::new));
        }
    }

    #[test]
    fn a_package_without_a_kernel_is_told() {
        let packages = packages("lib/modules");
        fs::remove_file(packages.path().join("boot/vmlinuz-6.1.0")).unwrap();
        let error = pick(packages.path(), tempfile::tempdir().unwrap().path()).unwrap_err();
        assert_eq!(error.to_string(), "the package has no kernel");
    }

    #[test]
    fn the_cache_is_asked_first_and_the_last_used_is_taken() {
        let (_dir, cache) = cache();
        assert!(cached(&cache).unwrap().is_none());
        let events = Events::default();
        let error = images(&cache, &events, true).unwrap_err();
        assert!(error.to_string().contains("--offline"), "{error}");
        for (version, rules, age) in [("1", 1, 100), ("2", 1, 50), ("3", 1, 200), ("4", 0, 10)] {
            let package = Package { name: "seabios".into(), version: version.into() };
            let record = Record { rules, packages: vec![package] };
            let folder = cache.folder(Kind::Guest).join(key(&record));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(RECORD), toml::to_string(&record).unwrap()).unwrap();
            let then = SystemTime::now() - Duration::from_secs(age);
            fs::File::open(folder.join(RECORD)).unwrap().set_modified(then).unwrap();
        }
        fs::create_dir(cache.folder(Kind::Guest).join("empty")).unwrap();
        let images = images(&cache, &events, true).unwrap();
        assert_eq!(images.description(), "seabios 2");
        let pruned = cache.prune(Default::default()).unwrap();
        assert_eq!(pruned.in_use.len(), 1, "what is being used stays");
    }
}
