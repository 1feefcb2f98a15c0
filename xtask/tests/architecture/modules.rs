//! The modules of the workspace's crates, and which of them use which.

use crate::lexer::{Token, tokens};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub struct Module {
    /// From the repository's root on.
    pub file: String,
    /// Name of the crate and of the modules above, and its own.
    path: Vec<String>,
    tokens: Vec<Token>,
    /// Names that it takes from elsewhere, for its own use or for others: a name and its path.
    imports: HashMap<String, Vec<String>>,
    /// Modules that it takes everything from.
    globs: Vec<Vec<String>>,
    /// Names that it declares.
    declared: HashSet<String>,
    /// Modules below it.
    children: HashSet<String>,
}

/// A path that stands in a source.
struct Mention {
    path: Vec<String>,
    line: usize,
}

/// One file uses another, or a crate from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub from: String,
    pub line: usize,
    /// As it is written.
    pub path: String,
    /// A file from the repository's root on, or the name of a crate from outside.
    pub to: String,
}

/// All crates that are looked at.
#[derive(Default)]
pub struct Workspace {
    modules: BTreeMap<Vec<String>, Module>,
    rooms: Vec<String>,
}

impl Workspace {
    /// Reads the crates: each the name by which others use it, and its folder. A room is a folder or a file.
    pub fn read(
        root: &Path,
        crates: &[(&str, &str)],
        rooms: impl Iterator<Item = &'static str>,
    ) -> Workspace {
        let mut workspace = Workspace { rooms: rooms.map(str::to_owned).collect(), ..Workspace::default() };
        for (name, folder) in crates {
            let mut files = Vec::new();
            sources(&root.join(folder), &mut files);
            assert!(!files.is_empty(), "{folder} has no sources");
            for file in files {
                let source =
                    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                let inside = file.strip_prefix(root.join(folder)).unwrap_or(&file);
                let mut path = vec![(*name).to_owned()];
                path.extend(inside.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()));
                if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
                    path.pop();
                }
                let file = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
                workspace.add(file, path, &source);
            }
        }
        workspace
    }

    fn add(&mut self, file: String, path: Vec<String>, source: &str) {
        let tokens = tokens(source);
        let named_by = |words: &[&str]| -> HashSet<String> {
            let pairs = tokens.windows(2).filter(|pair| words.contains(&pair[0].text.as_str()));
            pairs.map(|pair| pair[1].text.clone()).collect()
        };
        let declared = named_by(&["fn", "struct", "enum", "trait", "type", "const", "static", "union"]);
        let children = named_by(&["mod"]);
        let mut module = Module {
            file,
            path: path.clone(),
            tokens,
            imports: HashMap::new(),
            globs: Vec::new(),
            declared,
            children,
        };
        for statement in uses(&module.tokens) {
            for (name, mention) in trees(statement) {
                let mut target = absolute(&module.path, &mention.path);
                let first = mention.path.first().map_or("", String::as_str);
                if module.children.contains(first) {
                    target = [module.path.as_slice(), &mention.path].concat();
                }
                match name.as_str() {
                    "*" => module.globs.push(target),
                    _ => drop(module.imports.insert(name, target)),
                }
            }
        }
        // `main.rs` beside `lib.rs` uses the library by its name.
        let path = if self.modules.contains_key(&path) { [path, vec!["main".into()]].concat() } else { path };
        self.modules.insert(path, module);
    }

    /// The room of a file: the longest one whose name it begins with.
    pub fn room(&self, file: &str) -> Option<&str> {
        let rooms = self.rooms.iter().filter(|room| is_in(file, room));
        rooms.max_by_key(|room| room.len()).map(String::as_str)
    }

    /// All files that were read.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.values()
    }

    /// Every use of one file by another, and of crates from outside.
    pub fn uses(&self) -> Vec<Use> {
        let mut found = Vec::new();
        for module in self.modules.values() {
            for mention in mentions(&module.tokens) {
                let target = self.target(module, &mention.path);
                let to = match self.file_of(&target, 8) {
                    Some(file) if file == module.file => continue,
                    Some(file) => file,
                    None => target.first().cloned().unwrap_or_default(),
                };
                let path = mention.path.join("::");
                found.push(Use { from: module.file.clone(), line: mention.line, path, to });
            }
        }
        found
    }

    /// What a path names, as seen from the root. A name that the module has imported, or a module below it, hides a
    /// crate's.
    fn target(&self, module: &Module, path: &[String]) -> Vec<String> {
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let below = [module.path.as_slice(), std::slice::from_ref(first)].concat();
        let start = if self.modules.contains_key(&below) {
            below
        } else if let Some(imported) =
            module.imports.get(first).filter(|imported| imported.last() == Some(first))
        {
            imported.clone()
        } else {
            return absolute(&module.path, path);
        };
        [start.as_slice(), rest].concat()
    }

    /// The file that declares what a path names; `None` for a crate from outside. A re-export is followed inside a room
    /// only: what a room re-exports from elsewhere it offers as its own.
    fn file_of(&self, path: &[String], patience: usize) -> Option<String> {
        let known =
            (1..=path.len()).rev().find_map(|length| Some((length, self.modules.get(path.get(..length)?)?)));
        let (length, module) = known?;
        let Some(name) = path.get(length).filter(|_| patience > 0) else { return Some(module.file.clone()) };
        if module.declared.contains(name) {
            return Some(module.file.clone());
        }
        if let Some(target) = module.imports.get(name)
            && let Some(file) = self.file_of(target, patience - 1)
            && self.room(&file) == self.room(&module.file)
        {
            return Some(file);
        }
        let globs = module.globs.iter().filter_map(|glob| self.modules.get(glob));
        let declares = globs.into_iter().find(|glob| glob.declared.contains(name));
        Some(declares.unwrap_or(module).file.clone())
    }
}

/// Whether a file is, or is in, a room.
pub fn is_in(file: &str, room: &str) -> bool {
    file.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder that can be read").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A path as seen from the root: `crate`, `super` and `self` are resolved; a name that begins with none of them is a
/// crate's, or that of a module below.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let mut from = module.to_vec();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => {
            from.truncate(1);
            rest = &path[1..];
        }
        Some("self") => rest = &path[1..],
        Some("super") => {
            while let [first, behind @ ..] = rest
                && first == "super"
            {
                from.pop();
                rest = behind;
            }
        }
        _ => from.clear(),
    }
    from.extend(rest.iter().cloned());
    from
}

/// Each `use ...;`, without the word and the semicolon.
fn uses(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let starts =
        tokens.iter().enumerate().filter(|(_, token)| token.text == "use").map(|(index, _)| index + 1);
    starts.filter_map(|start| {
        let statement = tokens.get(start..)?;
        statement.get(..statement.iter().position(|token| token.text == ";")?)
    })
}

/// The paths that a `use` takes, each with the name it gives.
fn trees(statement: &[Token]) -> Vec<(String, Mention)> {
    let mut found = Vec::new();
    let mut rest = statement;
    tree(&mut rest, &[], &mut found);
    found
}

fn tree(rest: &mut &[Token], prefix: &[String], found: &mut Vec<(String, Mention)>) {
    let mut path = prefix.to_vec();
    let line = rest.first().map_or(0, |token| token.line);
    let mut name = String::new();
    while let [token, behind @ ..] = *rest {
        match token.text.as_str() {
            "::" => {}
            "{" => {
                *rest = behind;
                while let [token, ..] = *rest
                    && token.text != "}"
                {
                    tree(rest, &path, found);
                    if let [comma, behind @ ..] = *rest
                        && comma.text == ","
                    {
                        *rest = behind;
                    }
                }
                *rest = rest.get(1..).unwrap_or_default();
                return;
            }
            "," | "}" => break,
            "as" => {
                name = behind.first().map(|token| token.text.clone()).unwrap_or_default();
                *rest = behind.get(1..).unwrap_or_default();
                break;
            }
            word => {
                // `a::{self}` takes `a`.
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                name = path.last().cloned().unwrap_or_default();
            }
        }
        *rest = behind;
    }
    if name == "*" {
        path.pop();
    }
    if !path.is_empty() {
        found.push((name, Mention { path, line }));
    }
}

/// Every path of a source that leaves its module: those of `use`, and those that stand in the code.
fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut rest = tokens;
    while let [token, behind @ ..] = rest {
        match token.text.as_str() {
            // In a macro: where it is expanded uses it.
            "$" if behind.first().is_some_and(|token| token.text == "crate") => rest = &rest[2..],
            "use" => {
                let end = behind.iter().position(|token| token.text == ";").unwrap_or(behind.len());
                let (statement, after) = behind.split_at(end);
                found.extend(trees(statement).into_iter().map(|(_, mention)| mention));
                rest = after;
            }
            word if behind.first().is_some_and(|token| token.text == "::") && is_name(word) => {
                let mut path = vec![word.to_owned()];
                rest = behind;
                while let [sign, name, behind @ ..] = rest
                    && sign.text == "::"
                    && is_name(&name.text)
                {
                    path.push(name.text.clone());
                    rest = behind;
                }
                found.push(Mention { path, line: token.line });
                // Past the `::` of a turbofish.
                if rest.first().is_some_and(|token| token.text == "::") {
                    rest = &rest[1..];
                }
            }
            _ => rest = behind,
        }
    }
    found
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let source = "pub use child::Thing;\nuse super::{a::{self, B}, c as d};\nfn f() -> crate::e::F { sqlx::query::<G>(x) }";
    let found: Vec<_> =
        mentions(&tokens(source)).into_iter().map(|it| (it.line, it.path.join("::"))).collect();
    let expected = [
        (1, "child::Thing"),
        (2, "super::a"),
        (2, "super::a::B"),
        (2, "super::c"),
        (3, "crate::e::F"),
        (3, "sqlx::query"),
    ];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
}

#[test]
fn a_re_export_leads_to_the_file_that_declares_the_name() {
    let mut workspace = Workspace::default();
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    workspace.add(
        "mod.rs".into(),
        path("k::room"),
        "mod inner; mod other; pub use inner::Thing; pub use other::*;",
    );
    workspace.add("inner.rs".into(), path("k::room::inner"), "pub struct Thing;");
    workspace.add("other.rs".into(), path("k::room::other"), "pub fn all() {}");
    let file = |text: &str| workspace.file_of(&path(text), 8);
    assert_eq!(file("k::room::Thing").as_deref(), Some("inner.rs"));
    assert_eq!(file("k::room::all").as_deref(), Some("other.rs"));
    assert_eq!(file("k::room::else"), Some("mod.rs".into()));
    assert_eq!(file("sqlx::query"), None);
}
