//! A target without an operating system, as its file `cmake/toolchain-NAME.cmake` describes it: Rust's target, the C compiler and
//! its flags. So what is built here is built with the flags that the file gives to its users.

use crate::process::{Outcome, fail, output, root, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One of them.
pub struct Toolchain {
    /// NAME in the file's name.
    pub name: String,
    /// Rust's target.
    pub triple: String,
    /// How the names of the C compiler and of binutils begin.
    tools: String,
    /// Flags of the C compiler.
    cpu: String,
}

impl Toolchain {
    /// From its file.
    pub fn named(name: &str) -> Outcome<Toolchain> {
        let path = file(name);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let value = |variable: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("set({variable} "))?.strip_suffix(')'));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let (Some(triple), Some(cpu)) = (value("TRIPLE"), value("CPU")) else {
            return fail(format!("{} sets no TRIPLE or no CPU", path.display()));
        };
        let tools = value("TOOLS").unwrap_or("arm-none-eabi".to_owned());
        Ok(Toolchain { name: name.to_owned(), triple, tools, cpu })
    }

    /// A program of binutils.
    pub fn tool(&self, name: &str) -> Command {
        Command::new(format!("{}-{name}", self.tools))
    }

    /// The C compiler with the target's flags.
    pub fn gcc(&self) -> Command {
        let mut gcc = self.tool("gcc");
        gcc.args(self.cpu.split_whitespace());
        gcc
    }

    /// The library by cargo, in which a panic that can be reached is an undefined symbol.
    pub fn archive(&self, features: &str) -> Outcome<PathBuf> {
        let features = format!("firmware-gate,{features}");
        self.cargo("quecota", "core", &["--no-default-features", "--features", &features])
    }

    /// A static library by cargo, over those parts of Rust's library. Rust is Debian's, which has the sources of these.
    pub fn cargo(&self, package: &str, parts: &str, options: &[&str]) -> Outcome<PathBuf> {
        let folder = target_dir();
        let mut cargo = Command::new("/usr/bin/cargo");
        cargo
            .current_dir(root())
            .env("PATH", "/usr/bin:/bin")
            .env("RUSTC_BOOTSTRAP", "1")
            // What the caller's cargo set for its own toolchain.
            .env_remove("RUSTC")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("RUSTFLAGS")
            .args(["build", "--locked", "--package", package, "--lib", "--profile", "firmware"])
            .arg(format!("-Zbuild-std={parts}"))
            .args(["-Zjson-target-spec", "--target"])
            .arg(self.description()?)
            .arg("--target-dir")
            .arg(&folder)
            .args(options);
        run(&mut cargo)?;
        let name = format!("lib{}.a", package.replace('-', "_"));
        Ok(folder.join(&self.triple).join("firmware").join(name))
    }

    /// Rust's description of the target without a frame pointer in every function, as `cmake/bare-metal.cmake` makes it.
    fn description(&self) -> Outcome<PathBuf> {
        let mut rustc = Command::new("/usr/bin/rustc");
        rustc.env("RUSTC_BOOTSTRAP", "1").env_remove("RUSTUP_TOOLCHAIN");
        rustc.args(["-Zunstable-options", "--print", "target-spec-json", "--target", &self.triple]);
        let always = output(&mut rustc)?;
        let described = always.replace(r#""frame-pointer": "always""#, r#""frame-pointer": "may-omit""#);
        let path = target_dir().join(format!("{}.json", self.triple));
        let written = std::fs::create_dir_all(target_dir()).and_then(|()| std::fs::write(&path, described));
        written.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// A firmware project by CMake, with the target's file; gives the folder.
    pub fn cmake(&self, source: &Path, build: &str, options: &[&str]) -> Outcome<PathBuf> {
        let build = root().join("target").join(build);
        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(source).arg("-B").arg(&build).args(["-G", "Ninja"]).args(options);
        configure.arg(format!("-DCMAKE_TOOLCHAIN_FILE={}", file(&self.name).display()));
        configure.arg(format!("-DQUECOTA_TARGET_DIR={}", target_dir().display()));
        run(configure.stdout(std::process::Stdio::null()))?;
        run(Command::new("cmake").arg("--build").arg(&build).stdout(std::process::Stdio::null()))?;
        Ok(build)
    }
}

fn file(name: &str) -> PathBuf {
    root().join("cmake").join(format!("toolchain-{name}.cmake"))
}

fn target_dir() -> PathBuf {
    root().join("target").join("firmware")
}
