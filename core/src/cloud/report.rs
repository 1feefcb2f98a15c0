//! What waits to be sent: OTA status reports in order, and what the platform asked for.

use crate::journal::{Report, Reports as Queue};
use crate::limits;
use crate::wire::message::OtaStatus as State;

/// Reports, oldest first; the first may be under way. Kept until they are confirmed, so also while offline.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    queue: Queue,
    under_way: bool,
}

impl Reports {
    /// None.
    pub const fn new() -> Self {
        Reports { queue: Queue::new(), under_way: false }
    }

    /// Where those go that an earlier run left.
    pub fn restored(&mut self) -> &mut Queue {
        self.under_way = false;
        &mut self.queue
    }

    /// For the journal.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Appends. Where an older report says no more than a newer one of the same component (heartbeats; when full,
    /// the same step of an earlier piece) the older one goes. Gives back a report that had to be dropped.
    pub fn push(&mut self, report: Report) -> Option<Report> {
        let first = usize::from(self.under_way);
        let newest = self.queue.iter().skip(first).last();
        if report.state == State::Downloading.number()
            && newest.is_some_and(|newest| is_same(newest, &report))
        {
            self.queue.remove(self.queue.len().saturating_sub(1));
        }
        let mut dropped = None;
        if self.queue.len() >= limits::STATUS_QUEUE {
            let repeated = (first..self.queue.len()).find(|at| self.is_repeated(*at, &report));
            dropped = self.queue.remove(repeated.unwrap_or(first)).filter(|_| repeated.is_none());
        }
        // There is room now.
        let _ = self.queue.push(report);
        dropped
    }

    /// The same step comes again later, of the same download: what the older one said is said by the newer.
    fn is_repeated(&self, at: usize, coming: &Report) -> bool {
        let Some(report) = self.queue.iter().nth(at) else { return false };
        // The answer as well: a reboot brings the question again.
        let steps = [State::Confirmed, State::DownloadStart, State::Downloading, State::Downloaded];
        // Of the same component's same upgrade: what comes after its end is another.
        let later = self.queue.iter().skip(at.saturating_add(1)).chain([coming]);
        let mut later = later
            .filter(|later| (later.kind, later.component) == (report.kind, report.component))
            .take_while(|later| later.state != State::PlanReceived.number());
        steps.iter().any(|step| step.number() == report.state) && later.any(|later| is_same(later, report))
    }

    /// Sends the oldest now, the first of [`Reports::iter`]. `false`: none waits.
    pub fn send_first(&mut self) -> bool {
        self.under_way = !self.queue.is_empty();
        self.under_way
    }

    /// The one under way arrived, or did not: then it is sent again. Whether the queue changed.
    pub fn on_ack(&mut self, delivered: bool) -> bool {
        let arrived = core::mem::take(&mut self.under_way) && delivered;
        if arrived {
            self.queue.pop();
        }
        arrived
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Those that wait, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Report> {
        self.queue.iter()
    }
}

fn is_same(one: &Report, other: &Report) -> bool {
    (one.state, one.kind, &one.component) == (other.state, other.kind, &other.component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    fn report(state: State) -> Report {
        Report { state: state.number(), kind: 1, component: Text::of("MCU").unwrap(), ..Report::default() }
    }

    #[test]
    fn heartbeats_are_one_report_and_a_report_under_way_is_not_touched() {
        let mut queue = Reports::new();
        queue.push(report(State::DownloadStart));
        for _ in 0..5 {
            queue.push(report(State::Downloading));
        }
        assert_eq!(queue.iter().count(), 2);
        queue.send_first();
        queue.on_ack(true);
        queue.send_first();
        queue.push(report(State::Downloading));
        assert_eq!(queue.iter().count(), 2);
    }

    #[test]
    fn a_full_queue_gives_up_only_what_a_later_report_says_again() {
        let mut queue = Reports::new();
        for state in [State::PlanReceived, State::Confirmed] {
            queue.push(report(state));
        }
        for _ in 0..20 {
            for state in [State::DownloadStart, State::Downloading, State::Downloaded] {
                assert_eq!(queue.push(report(state)), None);
            }
        }
        assert_eq!(queue.push(report(State::Updating)), None);
        let states: std::vec::Vec<u8> = queue.iter().map(|r| r.state).collect();
        assert_eq!(states[..2], [1, 2]);
        assert_eq!(states[states.len() - 2..], [8, 9]);
    }

    #[test]
    fn an_answer_that_each_reboot_asks_for_again_crowds_nothing_out() {
        let mut queue = Reports::new();
        assert_eq!(queue.push(report(State::PlanReceived)), None);
        for _ in 0..20 {
            for state in [State::Confirmed, State::DownloadStart, State::Downloading] {
                assert_eq!(queue.push(report(state)), None);
            }
        }
        let states: std::vec::Vec<u8> = queue.iter().map(|r| r.state).collect();
        assert_eq!((states[0], &states[states.len() - 3..]), (1, [2, 4, 5].as_slice()));
    }

    #[test]
    fn a_step_of_another_upgrade_does_not_stand_for_one_of_this() {
        let mut queue = Reports::new();
        for state in [State::Downloaded, State::Updating, State::UpdateError, State::PlanReceived] {
            queue.push(report(state));
        }
        for _ in 0..20 {
            for state in [State::DownloadStart, State::Downloading, State::Downloaded] {
                assert_eq!(queue.push(report(state)), None);
            }
        }
        let states: std::vec::Vec<u8> = queue.iter().map(|r| r.state).collect();
        assert_eq!(states[..4], [8, 9, 12, 1]);
    }

    #[test]
    fn a_report_that_was_not_delivered_stays_first() {
        let mut queue = Reports::new();
        queue.push(report(State::PlanReceived));
        queue.push(report(State::Confirmed));
        queue.send_first();
        queue.on_ack(false);
        assert!(queue.send_first());
        assert_eq!(queue.iter().next(), Some(&report(State::PlanReceived)));
    }
}
