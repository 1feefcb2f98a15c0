//! The page docs/figures.md.

use std::fmt::Write as _;

use super::{Bench, Measured, Row, Sized, Target, rustc, short};
use crate::machine;
use crate::process::Outcome;

pub fn heading(quick: bool) -> Outcome<String> {
    let said = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let kernel = said("/proc/sys/kernel/osrelease");
    let memory = said("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    let mode = if quick {
        "`--quick`: small sizes and short times, which say that everything runs and nothing more"
    } else {
        "whole sizes"
    };
    let (rested, at_once) = machine::rested_page();
    Ok(format!(
        "# Figures of a center\n\n\
         Written by `cargo xtask bench center`; nothing here is typed. One center of the release build over SQLite with every\n\
         commit on the disk, and its load (the simulator `fleet`, real MQTT and HTTP) beside it on the same processors.\n\n\
         - machine: {} shared with the load, {:.0} GB, Linux {}, {}\n\
         - before the run: load (1, 5, 15 minutes) {}; a byte to another thread and back takes {:.1} µs, which grows when the\n\
         \x20 host of a virtual machine is busy, and what wakes somebody costs as much more; to touch a page of memory that rested\n\
         \x20 for five seconds takes {:.1} µs, again at once {:.1} µs, which what is seldom done pays for each page\n\
         - {mode}\n\n",
        machine::processors(),
        memory.unwrap_or_default() / 1e6,
        kernel.trim(),
        rustc()?,
        machine::load(),
        machine::hand_over().map_err(|error| format!("a pair of sockets: {error}"))?,
        rested,
        at_once,
    ))
}

/// The whole page.
pub fn page(heading: &str, bench: &Bench) -> String {
    let mut page = heading.to_owned();
    page += "CPU, bytes written to the disk and context switches are the center's, for each message, device or session; shares are\n\
             of one processor, the center's and its load's; latency is of half of them, 99 % and all.\n\n\
             | | measured | to reach | | CPU ms | written | switches | CPU center / load | latency |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    // What is measured at each size and has no bound stands in the table below alone.
    let is_below = |row: &Row| row.part == "sizes" && row.target == Target::None && row.outcome.is_ok();
    for row in bench.rows.iter().filter(|row| !is_below(row)) {
        page += &line(row);
    }
    if !bench.sized.is_empty() {
        page += "\n## Cost against the size of the fleet\n\nMilliseconds.\n\n![cost against the size of the fleet](figures.svg)\n\n";
        page += &table(&bench.sized);
    }
    let missed = bench.rows.iter().filter(|row| row.is_met() == Some(false)).count();
    let met = bench.rows.iter().filter(|row| row.is_met() == Some(true)).count();
    let failed = bench.rows.iter().filter(|row| row.outcome.is_err()).count();
    // A String takes everything.
    let _ = write!(
        page,
        "\n{met} targets are met, {missed} are missed, {failed} rows could not be measured; the run took {:.0} s.\n",
        bench.begun.elapsed().as_secs_f64()
    );
    page
}

fn line(row: &Row) -> String {
    let (name, target) = (row.name.trim_start(), row.target.words());
    let indent = if row.name.starts_with(' ') { "&nbsp;&nbsp;" } else { "" };
    match &row.outcome {
        Err(why) => {
            let why = short(why).replace('|', "\\|");
            format!("| {indent}{name} | could not be measured: {why} | {target} | | | | | | |\n")
        }
        Ok(measured) => {
            let verdict = match row.is_met() {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "",
            };
            let Measured { figure, count, used, shares, latency, .. } = measured;
            let each = |total: f64, unit: &str| {
                if *count > 0.0 { format!("{:.3}{unit}", total / count) } else { String::new() }
            };
            let (cpu, written, switches) = match used {
                Some(used) => {
                    (each(used.cpu * 1e3, ""), each(used.written / 1e3, " KB"), each(used.switches, ""))
                }
                None => Default::default(),
            };
            let shares = shares.map_or(String::new(), |(center, load)| {
                format!("{:.0} % / {:.0} %", center * 100.0, load * 100.0)
            });
            format!(
                "| {indent}{name} | {figure} | {target} | {verdict} | {cpu} | {written} | {switches} | {shares} | {latency} |\n"
            )
        }
    }
}

fn table(sized: &[Sized]) -> String {
    let mut sizes: Vec<u64> =
        sized.iter().flat_map(|sized| sized.points.iter().map(|(size, _)| *size)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text = String::from("| devices |");
    for size in &sizes {
        let _ = write!(text, " {size} |");
    }
    text += "\n| --- |";
    text += &" --- |".repeat(sizes.len());
    text.push('\n');
    for Sized { name, points } in sized {
        let _ = write!(text, "| {name} |");
        for size in &sizes {
            let found = points.iter().find(|(of, _)| of == size);
            let _ = write!(text, " {} |", found.map_or(String::new(), |(_, value)| format!("{value:.1}")));
        }
        text.push('\n');
    }
    text
}
