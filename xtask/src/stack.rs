//! Bounds of the stack that a function of a linked Cortex-M image takes, read from its disassembly.
//!
//! The frame of a function is all that it pushes and subtracts. A call through a pointer may go to every function whose address
//! stands in the image, but from the C platform it goes to the port, whose stack is its own affair. A circle that this makes is
//! gone round once. The work of an export, which the dispatcher calls, is known by its export, which has its address or that
//! of its table of functions. So a figure is a bound, not what a run takes; a change shows in it.

use std::collections::{HashMap, HashSet};

#[derive(Default)]
struct Function {
    frame: u32,
    calls: HashSet<String>,
    calls_by_pointer: bool,
    /// The constants behind it.
    words: Vec<u32>,
    role: Role,
}

/// What a function is to the exports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    /// The work of an export, which the dispatcher calls and nobody else.
    Work,
    /// Calls such work.
    Dispatcher,
    #[default]
    Other,
}

impl Role {
    /// By the demangled name.
    fn of(name: &str) -> Role {
        let is_closure = name.starts_with("quecota::native::") && name.contains("::quecota_");
        let is_work = is_closure && name.contains("::{closure#")
            || name.starts_with("<quecota::native::closure::Does<")
            || name.contains(" as quecota::native::call::Uses<");
        let is_of_device = name.starts_with("<quecota::native::device::Device>::");
        let is_guard = name.ends_with("::use_agent") || name.ends_with("::guarded");
        if is_work {
            Role::Work
        } else if name.starts_with("quecota::native::call::") || is_of_device && is_guard {
            Role::Dispatcher
        } else {
            Role::Other
        }
    }
}

/// The functions of an image.
pub struct Stack {
    functions: HashMap<String, Function>,
    /// Whose address stands in the image.
    targets: Vec<String>,
    known: HashMap<String, u32>,
}

impl Stack {
    /// From `objdump -d --no-show-raw-insn`, and `objdump -s -j .rodata`. `demangled` are the names of [`names`] in this order,
    /// as `c++filt --no-verbose` prints them.
    pub fn of(code: &str, constants: &str, demangled: &str) -> Stack {
        let roles: HashMap<&str, Role> = names(code).zip(demangled.lines().map(Role::of)).collect();
        let role = |name: &str| roles.get(name).copied().unwrap_or_default();
        let mut functions: HashMap<String, Function> = HashMap::new();
        let mut addresses = HashMap::new();
        let mut words = HashSet::new();
        let mut name = String::new();
        for line in code.lines() {
            if let Some((address, head)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
                head.clone_into(&mut name);
                addresses.insert(u32::from_str_radix(address, 16).unwrap_or(0), name.clone());
                functions.entry(name.clone()).or_default().role = role(&name);
                continue;
            }
            let mut columns = line.split('\t').skip(1);
            let (Some(operation), operands) = (columns.next(), columns.next().unwrap_or("")) else {
                continue;
            };
            let Some(function) = functions.get_mut(&name) else { continue };
            function.frame += pushed(operation, operands);
            if operation == ".word" {
                function.words.extend(u32::from_str_radix(operands.trim_start_matches("0x"), 16));
            }
            let by_pointer =
                operation.starts_with("blx") || operation.starts_with("bx") && !operands.starts_with("lr");
            function.calls_by_pointer |= by_pointer;
            let callee = operands.rsplit_once('<').and_then(|(_, rest)| rest.split(['>', '+']).next());
            if let Some(callee) = callee.filter(|callee| operation.starts_with('b') && *callee != name) {
                function.calls.insert(callee.to_owned());
            }
        }
        let mut tables = HashMap::new();
        for line in constants.lines().filter(|line| line.starts_with(' ')) {
            let mut columns = line.split_whitespace();
            let start = columns.next().and_then(|address| u32::from_str_radix(address, 16).ok()).unwrap_or(0);
            for (at, column) in columns.take(4).filter(|word| word.len() == 8).enumerate() {
                if let Ok(word) = u32::from_str_radix(column, 16) {
                    tables.insert(start + 4 * at as u32, word.swap_bytes());
                }
            }
        }
        // A pointer to Thumb code is odd.
        let code = |word: &u32| addresses.get(&word.wrapping_sub(1)).filter(|_| word % 2 == 1);
        for (name, function) in functions.iter_mut().filter(|(name, _)| role(name) != Role::Dispatcher) {
            // Of a table of functions the fourth word is the first function.
            let in_tables = function.words.iter().filter_map(|word| tables.get(&word.wrapping_add(12)));
            let work =
                function.words.iter().chain(in_tables).filter_map(code).filter(|to| role(to) == Role::Work);
            function.calls.extend(work.filter(|to| *to != name).cloned());
            words.extend(&function.words);
        }
        words.extend(tables.values());
        let targets =
            words.iter().filter_map(code).filter(|name| role(name) != Role::Work).cloned().collect();
        Stack { functions, targets, known: HashMap::new() }
    }

    /// Whether the dispatcher was found: without it the work of an export would not count.
    pub fn has_dispatcher(&self) -> bool {
        [Role::Work, Role::Dispatcher].iter().all(|role| self.functions.values().any(|f| f.role == *role))
    }

    /// Bytes from the call of a function on; 0: there is no such function.
    pub fn from(&mut self, name: &str) -> u32 {
        self.deepest(name, &mut Vec::new())
    }

    fn deepest(&mut self, name: &str, path: &mut Vec<String>) -> u32 {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let Some(function) = self.functions.get(name).filter(|_| !path.iter().any(|before| before == name))
        else {
            return 0;
        };
        let mut callees: Vec<String> = function.calls.iter().cloned().collect();
        if function.calls_by_pointer && !name.contains("c_platform") && function.role != Role::Dispatcher {
            callees.extend(self.targets.iter().cloned());
        }
        callees.sort();
        let frame = function.frame;
        path.push(name.to_owned());
        // The frames of the dispatcher, which are between an export and its work.
        let is = |role| move |f: &&Function| f.role == role;
        let works =
            callees.iter().filter_map(|callee| self.functions.get(callee)).any(|f| is(Role::Work)(&f));
        let dispatchers = self.functions.values().filter(is(Role::Dispatcher));
        let between = if works { dispatchers.map(|f| f.frame).sum() } else { 0 };
        let below = callees.iter().map(|callee| self.deepest(callee, path)).max().unwrap_or(0) + between;
        path.pop();
        self.known.insert(name.to_owned(), frame + below);
        frame + below
    }
}

/// The functions of `objdump -d`, in its order.
pub fn names(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| Some(line.strip_suffix(">:")?.split_once(" <")?.1))
}

/// Bytes by which an instruction lowers the stack pointer.
fn pushed(operation: &str, operands: &str) -> u32 {
    let number = |text: &str| -> u32 {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    };
    if operation.starts_with("push") || operation.starts_with("stmdb") && operands.starts_with("sp!") {
        let registers = operands.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
        return 4 * registers.split(',').count() as u32;
    }
    if operation.starts_with("sub") && operands.starts_with("sp,") {
        return operands.split_once('#').map_or(0, |(_, rest)| number(rest));
    }
    if operation.starts_with("str") && operands.contains("]!") {
        return operands.split_once("[sp, #-").map_or(0, |(_, rest)| number(rest));
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "00000010 <top>:\n  10:\tpush\t{r4, r5, lr}\n  12:\tsubw\tsp, sp, #1220\t@ 0x4c4\n  14:\tbl\t40 <low>\n  \
                        16:\tblx\tr3\n00000040 <low>:\n  40:\tstr.w\tlr, [sp, #-8]!\n  42:\tb.w\t40 <low>\n\
                        00000060 <by_pointer>:\n  60:\tstmdb\tsp!, {r8, r9}\n  62:\tsub\tsp, #92\t@ 0x5c\n  64:\tbl\t10 <top>\n";

    #[test]
    fn the_deepest_way_counts_and_a_circle_once() {
        let mut stack = Stack::of(CODE, "", "");
        assert!(!stack.has_dispatcher());
        assert_eq!((stack.from("low"), stack.from("top"), stack.from("nobody")), (8, 12 + 1220 + 8, 0));
        // The address of by_pointer stands in the constants, odd, little-endian.
        let constants = "Contents of section .rodata:\n 2000 61000000 ffffffff  a.......\n";
        assert_eq!(Stack::of(CODE, constants, "").from("top"), 12 + 1220 + 8 + 92);
    }

    #[test]
    fn the_frames_of_the_dispatcher_stand_between_an_export_and_its_work() {
        let code = "00000010 <export>:\n  10:\tpush\t{r4, lr}\n  12:\tbl\t40 <_call>\n  14:\t.word\t0x00000061\n\
                    00000040 <_call>:\n  40:\tsub\tsp, #16\n  42:\tblx\tr3\n00000060 <_work>:\n  60:\tsub\tsp, #100\n";
        let demangled =
            "export\nquecota::native::call::call\nquecota::native::ota::quecota_ota_read::{closure#0}\n";
        let mut stack = Stack::of(code, "", demangled);
        assert!(stack.has_dispatcher());
        assert_eq!(stack.from("export"), 8 + 16 + 100);
        assert_eq!(names(code).collect::<Vec<_>>(), ["export", "_call", "_work"]);
    }
}
