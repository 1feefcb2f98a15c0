//! How many files a version package has and how large they are (DEVELOPER-CENTER "Things", QUECTHING.md 4.10).
//! The rules of its names, versions and remark are those of [`crate::rules::names`].

use std::fmt;

/// Largest size of one file, in bytes: 100 MB as the console counts them.
pub const FILE_SIZE_MAX: u64 = 100 * 1024 * 1024;
/// Most files in one package; a package for an MCU has exactly one.
pub const FILES_MAX: usize = 5;

/// An upload breaks a rule. The message names the value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value}: {rule}")]
pub struct Refusal {
    /// Short name of the rule, for programs.
    pub code: &'static str,
    /// The field of the upload.
    pub field: &'static str,
    /// What was sent, shortened to what a reader needs.
    pub value: String,
    /// What would be right.
    pub rule: String,
}

impl Refusal {
    fn new(
        code: &'static str,
        field: &'static str,
        value: impl fmt::Display,
        rule: impl Into<String>,
    ) -> Self {
        Self { code, field, value: value.to_string(), rule: rule.into() }
    }
}

/// Checks the size of one file, in bytes; called while it streams in, so `size` may be what came so far.
pub fn check_not_too_large(name: &str, size: u64) -> Result<(), Refusal> {
    if size <= FILE_SIZE_MAX {
        return Ok(());
    }
    let rule = format!("a file has at most {FILE_SIZE_MAX} bytes (100 MB), {size} or more were sent");
    Err(Refusal::new("file_too_large", "file", name, rule))
}

/// Checks that a file has content.
pub fn check_not_empty(name: &str, size: u64) -> Result<(), Refusal> {
    if size > 0 {
        return Ok(());
    }
    Err(Refusal::new("file_empty", "file", name, "the file is empty; a file has 1 byte or more"))
}

/// Checks how many files a package has, before the component is known.
pub fn check_file_count(count: usize) -> Result<(), Refusal> {
    match count {
        0 => Err(Refusal::new(
            "file_missing",
            "file",
            "",
            format!("a package has 1 to {FILES_MAX} files, none was sent"),
        )),
        1..=FILES_MAX => Ok(()),
        _ => Err(Refusal::new(
            "too_many_files",
            "file",
            count,
            format!("a package has at most {FILES_MAX} files"),
        )),
    }
}

/// Checks the number of files of an MCU's package: the device protocol has no list for MCU firmware.
pub fn check_mcu_file_count(count: usize) -> Result<(), Refusal> {
    if count <= 1 {
        return Ok(());
    }
    Err(Refusal::new("too_many_files", "file", count, "a package for an MCU component has exactly one file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_at_their_edges() {
        check_not_too_large("a.bin", FILE_SIZE_MAX).unwrap();
        let refusal = check_not_too_large("a.bin", FILE_SIZE_MAX + 1).unwrap_err();
        assert!(refusal.to_string().contains("a.bin") && refusal.to_string().contains("104857600"));
        check_not_empty("a.bin", 1).unwrap();
        check_not_empty("a.bin", 0).unwrap_err();
        check_file_count(5).unwrap();
        check_file_count(6).unwrap_err();
        check_file_count(0).unwrap_err();
        check_mcu_file_count(1).unwrap();
        check_mcu_file_count(2).unwrap_err();
    }
}
