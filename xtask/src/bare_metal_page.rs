//! docs/bare-metal.md, followed as a reader would: its commands are run as they stand there.

use crate::demo::{Center, read};
use crate::free_port::free_port;
use crate::process::{Folder, Outcome, fail, output, root};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// What differs on the page from one run to the next.
const MQTT: &str = "mqtt://127.0.0.1:1883";
const BRIDGE: &str = "5001";

/// Builds the example, gives a center its second version, and lets the board upgrade itself.
pub fn follow() -> Outcome {
    println!("the commands of docs/bare-metal.md");
    let page = root().join("docs/bare-metal.md");
    let page = String::from_utf8(read(&page)?).map_err(|error| format!("{}: {error}", page.display()))?;
    let blocks: Vec<&str> =
        page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let commands = blocks.concat();
    if blocks.len() != 3 || !commands.contains(MQTT) || !commands.contains(BRIDGE) {
        return fail(format!(
            "docs/bare-metal.md has {} blocks of commands, or others than are known here",
            blocks.len()
        ));
    }
    let folder = Folder::new("bare-metal-page")?;
    let center = Center::start(folder.path(), None)?;
    let bin = folder.path().join("bin");
    let made = std::fs::create_dir(&bin).and_then(|()| symlink(root(), folder.path().join("quecota")));
    made.map_err(|error| format!("{}: {error}", folder.path().display()))?;
    programs(&bin, folder.path(), center.http())?;

    let commands = commands.replace(MQTT, &center.mqtt).replace(BRIDGE, &free_port().to_string());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("timeout");
    shell.args(["1200", "sh", "-e", "-c", &commands]).current_dir(folder.path()).env("PATH", path);
    let said = output(&mut shell)?;
    let (wanted, flash) =
        (read(&folder.path().join("build/firmware-2_0_0.bin"))?, read(&folder.path().join("flash.bin"))?);
    if !said.contains("firmware 1_0_0\n") || !said.contains("firmware 2_0_0\n") || !flash.starts_with(&wanted)
    {
        return fail(format!("the board of docs/bare-metal.md has not upgraded itself:\n{said}"));
    }
    center.stop();
    Ok(())
}

/// The programs that the page calls, where they are another thing than for its reader.
fn programs(bin: &Path, folder: &Path, center: &str) -> Outcome {
    let program = |name: &str, text: String| {
        let path = bin.join(name);
        let written = std::fs::write(&path, format!("#!/bin/sh\n{text}\n"));
        let written =
            written.and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)));
        written.map_err(|error| format!("{}: {error}", path.display()))
    };
    // What the page installs must be there already: then the lists of `setup` are complete.
    program(
        "sudo",
        "test \"$1 $2 $3\" = 'apt-get install -y' && shift 3 && exec dpkg-query -W \"$@\"".into(),
    )?;
    // The library is compiled once for all tests.
    let options = format!(
        "-DQUECOTA_TARGET_DIR={}/target/firmware -DQUECOTA_FEATURES=full,firmware-gate",
        root().display()
    );
    program(
        "cmake",
        format!("case \"$1\" in -S) set -- \"$@\" {options};; esac\nPATH=${{PATH#*:}} exec cmake \"$@\""),
    )?;
    // It must end with its shell.
    program("python3", "PATH=${PATH#*:} exec setpriv --pdeathsig KILL -- python3 \"$@\"".into())?;
    let built = root().join("target/debug/quecota-center");
    program(
        "quecota-center",
        format!(
            "QUECOTA_SERVER={center} exec {} \"$@\" --data {}",
            built.display(),
            folder.join("center").display()
        ),
    )
}
