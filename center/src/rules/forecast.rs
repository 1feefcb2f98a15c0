//! What a plan would do to a device if it were activated now, and whether a package takes a device back.

use super::block_reason::BlockReason;

words! {
    /// What the plan would do to a device.
    Outcome, "outcome" {
        /// It would be offered the plan at once (or at its next request, if the plan is offered on request).
        Offered = "offered_now",
        /// It would be offered the plan when it connects and reports what it reported last.
        WhenOnline = "offered_when_online",
        /// A condition holds it back.
        Blocked = "held",
        /// By its last report every component has its target version.
        NotRequired = "no_update_required",
        /// It is none of the plan's devices.
        Excluded = "excluded",
    }
}

/// The outcome, with the condition that it rests on. `now`: what the rules say; `connected`: what they would say if the
/// device were online with the versions that it reported last; `needed`: whether those versions need the plan.
pub fn forecast(
    now: Result<(), BlockReason>,
    connected: Result<(), BlockReason>,
    needed: Result<(), BlockReason>,
) -> (Outcome, Option<BlockReason>) {
    match (now, connected, needed) {
        (
            Err(
                blocked @ (BlockReason::Blacklisted
                | BlockReason::NotWhitelisted
                | BlockReason::OtherProduct { .. }),
            ),
            ..,
        ) => (Outcome::Excluded, Some(blocked)),
        (_, _, Err(BlockReason::AtTarget)) => (Outcome::NotRequired, Some(BlockReason::AtTarget)),
        (Ok(()), ..) => (Outcome::Offered, None),
        (Err(blocked @ (BlockReason::Offline | BlockReason::VersionsUnknown)), Ok(()), _) => {
            (Outcome::WhenOnline, Some(blocked))
        }
        (Err(BlockReason::Offline | BlockReason::VersionsUnknown), Err(blocked), _) => {
            (Outcome::Blocked, Some(blocked))
        }
        (Err(blocked), ..) => (Outcome::Blocked, Some(blocked)),
    }
}

/// Whether `reported` is surely a later version than `target`: both are numbers with the same texts around them, as in
/// `2_0_1` and `2_0_0`. Names that cannot be put in order are not: a device's versions are its maker's words.
pub fn is_later(reported: &str, target: &str) -> bool {
    let (mut ours, mut theirs) = (parts(reported), parts(target));
    loop {
        match (ours.next(), theirs.next()) {
            (Some(Part::Number(a)), Some(Part::Number(b))) if a != b => {
                return (a.len(), a) > (b.len(), b);
            }
            (Some(Part::Number(_)), Some(Part::Number(_))) => {}
            (Some(Part::Text(a)), Some(Part::Text(b))) if a == b => {}
            // A further number makes it later: 2.0.1 after 2.0. A further text may be anything: 2.0-beta.
            (Some(Part::Text(_)), None) => return matches!(ours.next(), Some(Part::Number(_))),
            _ => return false,
        }
    }
}

#[derive(PartialEq)]
enum Part<'v> {
    /// Digits without leading zeros.
    Number(&'v str),
    Text(&'v str),
}

fn parts(version: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = version;
    std::iter::from_fn(move || {
        let is_number = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        Some(if is_number { Part::Number(part.trim_start_matches('0')) } else { Part::Text(part) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_only_where_their_order_is_sure() {
        for (reported, target, later) in [
            ("2_0_1", "2_0_0", true),
            ("2_0_0", "2_0_1", false),
            ("10.0", "9.9", true),
            ("v010", "v9", true),
            ("2.0.1", "2.0", true),
            ("2.0", "2.0.1", false),
            ("2.0-beta", "2.0", false),
            ("2.0-beta", "2.0-alpha", false),
            ("EC200A", "BG95", false),
            ("2", "2", false),
            ("1", "alpha", false),
        ] {
            assert_eq!(is_later(reported, target), later, "{reported} and {target}");
        }
    }

    #[test]
    fn what_is_needed_decides_before_when() {
        let ok = || Ok(());
        let at_target = || Err(BlockReason::AtTarget);
        assert_eq!(forecast(ok(), ok(), ok()), (Outcome::Offered, None));
        assert_eq!(forecast(Err(BlockReason::Offline), at_target(), at_target()).0, Outcome::NotRequired);
        assert_eq!(forecast(Err(BlockReason::OnRequestOnly), ok(), at_target()).0, Outcome::NotRequired);
        assert_eq!(
            forecast(Err(BlockReason::Offline), ok(), ok()),
            (Outcome::WhenOnline, Some(BlockReason::Offline))
        );
        let on_request = (Outcome::Blocked, Some(BlockReason::OnRequestOnly));
        assert_eq!(forecast(Err(BlockReason::Offline), Err(BlockReason::OnRequestOnly), ok()), on_request);
        assert_eq!(forecast(Err(BlockReason::Blacklisted), ok(), at_target()).0, Outcome::Excluded);
    }
}
