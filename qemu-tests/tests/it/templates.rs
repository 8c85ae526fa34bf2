//! The templates for CI systems: held against the schemas that those publish, and carried out.

use qemu_tests::{qemu, root, skip, tool};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

/// The validator, which brings the schemas along, and a reader of YAML.
const VALIDATOR: &str = "check-jsonschema==0.39.0";

const GITLAB: &str = "gitlab/pcram.gitlab-ci.yml";
const GITHUB: &str = "github/pcram.yml";

/// The environment that has [`VALIDATOR`], made where there is none; an error says why it cannot
/// be had.
static ENVIRONMENT: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    // Beside all else that is built; a key of its own for each version.
    let target = tool().get_program().to_owned();
    let place = Path::new(&target).parent().unwrap().join(VALIDATOR);
    let complete = place.join("complete");
    if !complete.exists() {
        let step = |command: &mut Command| match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(last_line(&output)),
            Err(error) => Err(error.to_string()),
        };
        step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--retries", "1", VALIDATOR];
        step(Command::new(place.join("bin/python3")).args(pip))?;
        fs::write(&complete, "").map_err(|error| error.to_string())?;
    }
    Ok(place)
});

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().last().unwrap_or("it fails without a word").to_owned()
}

/// The environment; without it, the test of this name is told as skipped.
fn environment(test: &str) -> Option<&'static Path> {
    match &*ENVIRONMENT {
        Ok(place) => Some(place),
        Err(why) => {
            skip(test, &format!("{VALIDATOR} cannot be had: {why}"));
            None
        }
    }
}

fn template(name: &str) -> String {
    fs::read_to_string(root().join("ci-templates").join(name)).expect("a template")
}

/// What the validator says of a text against a schema; nothing where it is valid.
fn complaints(environment: &Path, text: &str, schema: &[&str]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.yml");
    fs::write(&file, text).unwrap();
    let mut validator = Command::new(environment.join("bin/check-jsonschema"));
    let output = validator.args(schema).arg(&file).output().expect("the validator starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (!output.status.success()).then_some(said)
}

const GITLAB_SCHEMA: [&str; 4] =
    ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"];
const GITHUB_SCHEMA: [&str; 2] = ["--builtin-schema", "vendor.github-workflows"];

#[test]
fn templates_keep_to_the_published_schemas_and_damage_does_not() {
    let Some(environment) =
        environment("templates_keep_to_the_published_schemas_and_damage_does_not")
    else {
        return;
    };
    for (name, schema, good, bad) in [
        (
            GITLAB,
            &GITLAB_SCHEMA[..],
            "    when: always\n    expire_in",
            "    when: ever\n    expire_in",
        ),
        (GITLAB, &GITLAB_SCHEMA, "      junit: pcram.xml", "      junit: [[pcram.xml]]"),
        (GITHUB, &GITHUB_SCHEMA, "    runs-on: ubuntu-latest\n", ""),
        (
            GITHUB,
            &GITHUB_SCHEMA,
            "        uses: actions/cache@v4\n",
            "        use: actions/cache@v4\n",
        ),
    ] {
        // The schema lets everything pass in a job whose name hides it.
        let text = template(name).replace("\n.pcram:\n", "\npcram:\n  script: \"true\"\n");
        assert_eq!(complaints(environment, &text, schema), None, "{name}");
        let damaged = text.replace(good, bad);
        assert_ne!(damaged, text, "{name} does not have {good:?}");
        assert!(complaints(environment, &damaged, schema).is_some(), "{bad:?} is not noticed");
    }
}

/// A template as data.
fn parsed(environment: &Path, name: &str) -> Value {
    let program = "import json, sys; from ruamel.yaml import YAML; \
                   print(json.dumps(YAML(typ='safe').load(open(sys.argv[1])), default=str))";
    let mut python = Command::new(environment.join("bin/python3"));
    let path = root().join("ci-templates").join(name);
    let output = python.args(["-c", program]).arg(path).output().expect("Python starts");
    assert!(output.status.success(), "{name}: {}", last_line(&output));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// The variables of a template that are plain text.
fn variables(of: &Value) -> BTreeMap<String, String> {
    let all = of.as_object().expect("variables").iter();
    let plain = all.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    plain.filter(|(_, value)| !value.contains("${{")).collect()
}

/// A project in which somebody built QEMU.
fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("qemu")).unwrap();
    for side in ["stock", "patched"] {
        symlink(qemu(side), folder.path().join("qemu").join(side)).unwrap();
    }
    folder
}

/// Carries out a job's lines as its runner would, but for the tool, which is the one under test. No
/// variable may be one that nobody sets.
fn carry_out(lines: &str, variables: &BTreeMap<String, String>) {
    let script = format!("cargo() {{ shift; \"$TOOL\" \"$@\"; }}\n{lines}");
    let mut bash = Command::new("bash");
    bash.args(["-euc", &script]).current_dir(root()).envs(variables);
    let output = bash.env("TOOL", tool().get_program()).output().expect("bash starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{lines}\n{said}{}", last_line(&output));
}

/// Holds that a job left its reports in the project's folder.
fn holds_reports(project: &Path, paths: &[&str]) {
    for path in paths {
        let text = fs::read_to_string(project.join(path)).unwrap_or_default();
        assert!(text.contains("p1.option"), "{path} does not tell of the check: {text}");
    }
}

#[test]
fn the_gitlab_jobs_leave_their_reports_where_their_artifacts_are() {
    let name = "the_gitlab_jobs_leave_their_reports_where_their_artifacts_are";
    let Some(environment) = environment(name) else { return };
    let template = parsed(environment, GITLAB);
    let artifacts = &template[".pcram"]["artifacts"];
    let junit = artifacts["reports"]["junit"].as_str().unwrap();
    let json = artifacts["paths"][1].as_str().unwrap();
    for job in ["pcram-gate", "pcram-verify"] {
        let project = project();
        let mut variables = variables(&template["variables"]);
        variables.insert("CI_PROJECT_DIR".into(), project.path().to_str().unwrap().into());
        for (name, value) in [
            ("PCRAM_QEMU", "qemu/patched"),
            ("PCRAM_STOCK", "qemu/stock"),
            ("PCRAM_ARGS", "--row p1.option"),
        ] {
            let known = variables.insert(name.into(), value.into());
            assert!(known.is_some(), "{name} is no variable of the template");
        }
        carry_out(template[job]["script"][0].as_str().unwrap(), &variables);
        holds_reports(project.path(), &[junit, json]);
    }
}

#[test]
fn the_github_steps_leave_their_reports_where_the_next_steps_look() {
    let name = "the_github_steps_leave_their_reports_where_the_next_steps_look";
    let Some(environment) = environment(name) else { return };
    let template = parsed(environment, GITHUB);
    let job = &template["jobs"]["pcram"];
    let step = |name: &str| {
        let mut steps = job["steps"].as_array().unwrap().iter();
        steps.find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}"))
    };
    let shown = step("Show the checks")["with"]["report_paths"].as_str().unwrap();
    let kept = step("Keep what checks that do not hold left")["with"]["path"].as_str().unwrap();
    let kept: Vec<_> = kept.lines().take(2).collect();
    for name in ["Gate", "Verify"] {
        let project = project();
        let mut variables = variables(&job["env"]);
        variables.insert("GITHUB_WORKSPACE".into(), project.path().to_str().unwrap().into());
        for (name, value) in
            [("QEMU", "patched"), ("STOCK", "stock"), ("PCRAM_ARGS", "--row p1.option")]
        {
            variables.insert(name.into(), value.into());
        }
        carry_out(step(name)["run"].as_str().unwrap(), &variables);
        holds_reports(project.path(), &[&[shown], &kept[..]].concat());
    }
}
