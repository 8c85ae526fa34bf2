//! The machine's apt, without touching its state.
//!
//! apt gets a source list, list folder and cache of its own. The site comes from the machine's
//! own sources, and its signatures are checked with the machine's keyring.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use xshell::{Shell, cmd};

use super::package::is_of_line;
use super::releases::Package;
use crate::cache::Cache;
use crate::failure::Failure;
use crate::process::{self, Ending};

/// Where Debian's package `debian-archive-keyring` puts the keys of all its suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// How long reading an index may take; what takes longer does not answer.
const INDEX_LIMIT: Duration = Duration::from_secs(60);

/// How long the download of the package, and its unpacking, may take.
const PACKAGE_LIMIT: Duration = Duration::from_secs(900);

/// A binary package, in the version that apt would install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binary {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The packages that it depends on, by name; of alternatives, the first.
    pub depends: Vec<String>,
}

/// A version that an index lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The version itself.
    pub number: String,
    /// The name of its .dsc file.
    pub dsc: String,
    /// The SHA-256 of that file, in hex.
    pub dsc_sha256: String,
}

/// apt with a state of its own.
pub(crate) struct Apt<'a> {
    cache: &'a Cache,
    dir: TempDir,
    /// What apt said of indexes that it could not read.
    pub unread: Vec<String>,
}

impl<'a> Apt<'a> {
    /// Sets up the state, and reads the indexes of a suite's source packages into it.
    pub(super) fn new(cache: &'a Cache, suite: &str) -> Result<Apt<'a>> {
        Apt::reading(cache, &sources(&sites()?, suite))
    }

    /// Sets up the state, and reads the indexes of this machine's own binary packages into it.
    pub(crate) fn of_this_machine(cache: &'a Cache) -> Result<Apt<'a>> {
        Apt::reading(cache, &binaries(&sites()?))
    }

    fn reading(cache: &'a Cache, list: &str) -> Result<Apt<'a>> {
        let dir = cache.scratch(cache.root())?;
        let root = dir.path();
        for folder in ["lists/partial", "archives/partial", "source"] {
            fs::create_dir_all(root.join(folder)).context("making apt's folders")?;
        }
        fs::write(root.join("sources.list"), list)?;
        fs::write(root.join("apt.conf"), configuration(root))?;
        let mut apt = Apt { cache, dir, unread: Vec::new() };
        // Some suites have no updates of their own, which is an error to apt; and a site that
        // cannot be reached is none to it. What counts is the versions that it finds.
        apt.unread = match apt.run(apt.command("apt-get").args(["-q", "update"]), INDEX_LIMIT) {
            Ok(lines) => lines.into_iter().filter(|line| line.starts_with("W: ")).collect(),
            Err(error) => vec![format!("{error:#}")],
        };
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.path().join("apt.conf")).env("LC_ALL", "C");
        command.current_dir(self.dir.path().join("source"));
        command
    }

    /// Runs a command and returns its lines; what it complained of is the error.
    fn run(&self, command: &mut Command, limit: Duration) -> Result<Vec<String>> {
        self.cache.in_use().lend(command)?;
        let mut lines = Vec::new();
        let status = process::run(command, Ending::Kill, limit, |line| lines.push(line.to_owned()))
            .map_err(|error| Failure::missing(error.to_string()))?;
        if status.success() {
            return Ok(lines);
        }
        let is_complaint = |line: &&String| line.starts_with("E: ") || line.contains("error:");
        let mut said: Vec<_> = lines.iter().filter(is_complaint).cloned().collect();
        if said.is_empty() {
            said = lines;
        }
        Err(Failure::missing(said.join("; ")).into())
    }

    /// The versions of the package's line that the indexes list.
    pub(super) fn versions(&self, package: &Package) -> Result<Vec<Version>> {
        let mut command = self.command("apt-cache");
        command.args(["--only-source", "showsrc", &package.name]);
        // apt fails where it knows no such package: then there is no version.
        let lines = self.run(&mut command, INDEX_LIMIT).unwrap_or_default();
        Ok(parse_versions(&lines, package))
    }

    /// Downloads a version, and returns where its .dsc is, whose hash is the index's.
    pub(super) fn download(&self, package: &Package, version: &Version) -> Result<PathBuf> {
        let mut command = self.command("apt-get");
        command.args(["-q", "source", "--only-source", "--download-only"]);
        command.arg(format!("{}={}", package.name, version.number));
        self.run(&mut command, PACKAGE_LIMIT)?;
        let dsc = self.dir.path().join("source").join(&version.dsc);
        let bytes = fs::read(&dsc).with_context(|| format!("reading {}", version.dsc))?;
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        if hash != version.dsc_sha256 {
            bail!(Failure::missing(format!(
                "{} has the SHA-256 {hash}, not the index's {}",
                version.dsc, version.dsc_sha256
            )));
        }
        Ok(dsc)
    }

    /// The binary package of this name, if the indexes list one.
    pub(crate) fn binary(&self, name: &str) -> Option<Binary> {
        let mut command = self.command("apt-cache");
        command.args(["--no-all-versions", "show", name]);
        // apt fails where it knows no such package.
        parse_binary(&self.run(&mut command, INDEX_LIMIT).unwrap_or_default())
    }

    /// Downloads a binary package, which checks its hash, and unpacks it into `dir`. Nothing is
    /// installed.
    pub(crate) fn unpack_binary(&self, binary: &Binary, dir: &Path) -> Result<()> {
        let Binary { name, version, .. } = binary;
        let place = self.cache.scratch(self.dir.path())?;
        let mut command = self.command("apt-get");
        command.args(["-q", "download", &format!("{name}={version}")]).current_dir(place.path());
        self.run(&mut command, PACKAGE_LIMIT)
            .with_context(|| format!("downloading {name} {version}"))?;
        let downloaded = fs::read_dir(place.path())?.next();
        let file = downloaded.with_context(|| format!("apt left no {name}"))??.path();
        let mut command = Command::new("dpkg-deb");
        command.env("LC_ALL", "C").arg("--extract").arg(&file).arg(dir);
        self.run(&mut command, PACKAGE_LIMIT)
            .with_context(|| format!("unpacking {name} {version}"))?;
        Ok(())
    }

    /// Unpacks a package, which checks the hashes in its .dsc, and returns the folder.
    pub(super) fn unpack(&self, dsc: &Path) -> Result<PathBuf> {
        let dir = self.dir.path().join("unpacked");
        let mut command = Command::new("dpkg-source");
        command.env("LC_ALL", "C").args(["--extract"]).arg(dsc).arg(&dir);
        self.run(&mut command, PACKAGE_LIMIT)
            .with_context(|| format!("unpacking {}", dsc.display()))?;
        // quilt's notes on the patches that were applied, with the files before each: no source.
        let notes = dir.join(".pc");
        if notes.exists() {
            fs::remove_dir_all(&notes).context("removing quilt's notes")?;
        }
        Ok(dir)
    }
}

/// Whether the machine has an apt to ask.
pub(super) fn is_there() -> bool {
    Command::new("apt-get").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The places that the machine's apt knows, each with the suite it is asked for there.
fn sites() -> Result<Vec<(String, String)>> {
    let shell = Shell::new()?;
    let format = "$(CREATED_BY) $(REPO_URI) $(RELEASE)";
    // Without this option, what was never downloaded is not listed.
    let listed = "APT::Get::IndexTargets::ReleaseInfo=false";
    let lines = cmd!(shell, "apt-get -o {listed} indextargets --format {format}").quiet().read();
    let lines = lines.map_err(|error| Failure::missing(format!("no apt answers here: {error}")))?;
    let sites = parse_sites(&lines);
    if sites.is_empty() {
        bail!(Failure::missing("the machine's apt has no site to take a source from"));
    }
    Ok(sites)
}

fn parse_sites(lines: &str) -> Vec<(String, String)> {
    let mut sites = Vec::new();
    for line in lines.lines() {
        if let ["Packages", site, suite] = line.split(' ').collect::<Vec<_>>()[..] {
            let site = (site.to_owned(), suite.to_owned());
            if !sites.contains(&site) {
                sites.push(site);
            }
        }
    }
    sites
}

/// The source list: each site is asked for the suite, or for its security updates where it is
/// asked for such ones.
fn sources(sites: &[(String, String)], suite: &str) -> String {
    let keyring = keyring();
    let mut lines = Vec::new();
    for (site, known) in sites {
        let suites = if known.ends_with("-security") || known.ends_with("/updates") {
            vec![format!("{suite}-security")]
        } else {
            vec![suite.to_owned(), format!("{suite}-updates")]
        };
        lines.extend(suites.iter().map(|suite| format!("deb-src {keyring}{site} {suite} main")));
    }
    lines.sort();
    lines.dedup();
    lines.join("\n") + "\n"
}

/// The source list of the binary packages that this machine itself takes.
fn binaries(sites: &[(String, String)]) -> String {
    let keyring = keyring();
    sites.iter().map(|(site, suite)| format!("deb {keyring}{site} {suite} main\n")).collect()
}

fn keyring() -> String {
    if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() }
}

/// Everything that apt writes goes into `root`, and nothing that the machine has it do afterwards
/// is done.
fn configuration(root: &Path) -> String {
    let root = root.display();
    let mut text = String::from(
        "#clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n",
    );
    for (name, value) in [
        ("Dir::Etc::sourcelist", format!("{root}/sources.list")),
        ("Dir::Etc::sourceparts", "/dev/null".into()),
        ("Dir::State::lists", format!("{root}/lists")),
        ("Dir::Cache", root.to_string()),
        ("Acquire::Languages", "none".into()),
        ("Acquire::Retries", "0".into()),
        ("Acquire::http::Timeout", "5".into()),
        ("Acquire::https::Timeout", "5".into()),
    ] {
        text += &format!("{name} \"{value}\";\n");
    }
    if rustix::process::geteuid().is_root() {
        // apt's own user cannot reach into a folder of root's.
        text += "APT::Sandbox::User \"root\";\n";
    }
    text
}

/// The versions of the package's line in what `apt-cache showsrc` prints.
fn parse_versions(lines: &[String], package: &Package) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    for record in lines.split(|line| line.is_empty()) {
        let field = |name: &str| record.iter().find_map(|line| line.strip_prefix(name));
        let Some(number) = field("Version: ") else { continue };
        if field("Package: ") != Some(&package.name) || !is_of_line(number, &package.line) {
            continue;
        }
        let mut hashes = record.iter().skip_while(|line| *line != "Checksums-Sha256:").skip(1);
        let dsc = hashes.find_map(|line| {
            let words: Vec<_> = line.strip_prefix(' ')?.split(' ').collect();
            let [hash, _, name] = words[..] else { return None };
            name.ends_with(".dsc").then(|| (name.to_owned(), hash.to_owned()))
        });
        if let Some((dsc, dsc_sha256)) = dsc {
            versions.push(Version { number: number.to_owned(), dsc, dsc_sha256 });
        }
    }
    versions
}

/// The package in what `apt-cache show` prints.
fn parse_binary(lines: &[String]) -> Option<Binary> {
    let field = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name));
    let depends = field("Depends: ").unwrap_or_default().split(',');
    // Each is a name, perhaps followed by a version in parentheses, or by alternatives.
    let depends = depends.filter_map(|each| each.split_whitespace().next()).map(str::to_owned);
    Some(Binary {
        name: field("Package: ")?.to_owned(),
        version: field("Version: ")?.to_owned(),
        depends: depends.collect(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A package like the table's.
    pub(crate) fn package() -> Package {
        Package {
            name: "qemu".into(),
            suite: "trixie".into(),
            line: "10.0".into(),
            version: "1:10.0.2+ds-1".into(),
            dsc_sha256: "ab".repeat(32),
            base: "cd".repeat(20),
        }
    }

    #[test]
    fn the_index_gives_the_versions_of_the_line_and_their_hashes() {
        let text = "\
Package: qemu
Binary: qemu-system
Version: 1:10.0.2+ds-1
Files:
 0123 45 qemu_10.0.2+ds-1.dsc
Checksums-Sha256:
 feed 99 qemu_10.0.2+ds.orig.tar.xz
 beef 45 qemu_10.0.2+ds-1.dsc

Package: qemu
Version: 1:10.2.1+ds-1
Checksums-Sha256:
 dead 45 qemu_10.2.1+ds-1.dsc

Package: qemu-web-desktop
Version: 10.0.1
Checksums-Sha256:
 dead 45 qemu-web-desktop_10.0.1.dsc
";
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let expected = Version {
            number: "1:10.0.2+ds-1".into(),
            dsc: "qemu_10.0.2+ds-1.dsc".into(),
            dsc_sha256: "beef".into(),
        };
        assert_eq!(parse_versions(&lines, &package()), [expected]);
    }

    #[test]
    fn a_binary_package_is_read_with_what_it_depends_on() {
        let text = "Package: linux-image-cloud-amd64\nVersion: 6.1.176-1\n\
                    Depends: linux-image-6.1.0-50-cloud-amd64 (= 6.1.176-1), a | b, c";
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let binary = parse_binary(&lines).unwrap();
        assert_eq!((&*binary.name, &*binary.version), ("linux-image-cloud-amd64", "6.1.176-1"));
        assert_eq!(binary.depends, ["linux-image-6.1.0-50-cloud-amd64", "a", "c"]);
        assert_eq!(parse_binary(&[]), None);
    }

    #[test]
    fn each_site_is_asked_for_what_it_has() {
        let sites = parse_sites(
            "Packages http://example.org/debian/ bookworm\n\
             DEP-11 http://example.org/debian/ bookworm\n\
             Packages http://example.org/debian/ bookworm-updates\n\
             Packages http://example.org/debian-security/ bookworm-security\n",
        );
        let list = sources(&sites, "trixie");
        let lines: Vec<_> = list.lines().map(|line| line.rsplit("] ").next().unwrap()).collect();
        let ends = [
            "http://example.org/debian-security/ trixie-security main",
            "http://example.org/debian/ trixie main",
            "http://example.org/debian/ trixie-updates main",
        ];
        assert_eq!(lines.len(), 3, "{list}");
        for (line, end) in lines.iter().zip(ends) {
            assert!(line.ends_with(end), "{line}");
        }
    }
}
