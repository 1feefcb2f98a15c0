//! Cost against the size of the fleet as a picture: both axes by powers of ten.

use std::fmt::Write as _;

use super::Sized;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 20.0;
/// Right of it stand the names.
const RIGHT: f64 = 610.0;
const BOTTOM: f64 = 510.0;
/// Least distance of two names.
const NAME: f64 = 15.0;
const COLOURS: [&str; 8] =
    ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2"];

pub fn chart(sized: &[Sized]) -> String {
    let points = || sized.iter().flat_map(|sized| sized.points.iter());
    let sizes = || points().map(|(size, _)| *size as f64);
    let (first, last) = (sizes().fold(f64::INFINITY, f64::min).log10(), sizes().fold(1.0, f64::max).log10());
    let values = || points().map(|(_, value)| value.max(0.1));
    let low = values().fold(f64::INFINITY, f64::min).log10().floor();
    let high = values().fold(1.0, f64::max).log10().ceil();
    let x = |size: f64| LEFT + (size.log10() - first) / (last - first).max(0.1) * (RIGHT - LEFT);
    let y = |value: f64| BOTTOM - (value.max(0.1).log10() - low) / (high - low).max(0.1) * (BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    // A String takes everything, here and below.
    let mut power = low;
    while power <= high {
        let (at, value) = (y(10f64.powf(power)), 10f64.powf(power));
        let _ = writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value} ms</text>",
            LEFT - 8.0,
            at + 4.0
        );
        power += 1.0;
    }
    let mut shown: Vec<u64> = points().map(|(size, _)| *size).collect();
    shown.sort_unstable();
    shown.dedup();
    for size in shown {
        let at = x(size as f64);
        let _ = writeln!(svg, "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{size} devices</text>",
            BOTTOM + 20.0
        );
    }
    // Names stand beside the ends of their lines, from the top down, none upon another.
    let mut ends: Vec<(f64, usize)> =
        sized.iter().enumerate().filter_map(|(at, sized)| Some((y(sized.points.last()?.1), at))).collect();
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = TOP;
    for (end, at) in ends {
        let Sized { name, points } = &sized[at];
        let colour = COLOURS[at % COLOURS.len()];
        let line: Vec<String> =
            points.iter().map(|(size, value)| format!("{:.1},{:.1}", x(*size as f64), y(*value))).collect();
        let place = end.max(free);
        free = place + NAME;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            line.join(" ")
        );
        let _ = writeln!(
            svg,
            "<path d=\"M{RIGHT} {end:.1}L{} {place:.1}\" stroke=\"{colour}\" stroke-width=\"0.5\"/>",
            RIGHT + 14.0
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            RIGHT + 18.0,
            place + 4.0
        );
    }
    svg + "</svg>\n"
}
