//! What a native application can say to the agent beyond the calls of the vendor's API, and what that changes.

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{Agent, CallError, Event, EventValue, Failure};
use quecota_core::platform::Range;
use quecota_core::wire::message::{ComponentKind, Plan};
use sim::bench::{Bench, Serve, plan};
use sim::world::World;

/// The MCU's flash, as the application fills it. Survives what the module does not.
type Flash = Rc<RefCell<Vec<u8>>>;

/// What an application does with a piece once it has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Next piece, or update.
    GoOn,
    /// Nothing.
    Stop,
}

fn state(bench: &Bench) -> u8 {
    bench.agent.ota_progress().state
}

fn failure(bench: &Bench) -> Option<Failure> {
    bench.agent.ota_progress().failure
}

/// Start and end of a 10703, and the end of the file.
fn piece(event: &Event) -> (u32, u32, u32) {
    let EventValue::Text(text) = event.value else { panic!("10703 without text") };
    let numbers: Vec<u32> = text.as_str().split(',').skip(1).map(|field| field.parse().unwrap()).collect();
    let [total, start, length] = numbers[..] else { panic!("{}", text.as_str()) };
    (start, start + length, total)
}

/// Confirms, writes each piece to `flash` where 10703 says, up to `until`, and marks each `step` bytes and each end.
fn marking(bench: &mut Bench, flash: &Flash, step: u32, until: u32, after: After) {
    let flash = flash.clone();
    bench.application(move |agent: &mut Agent<'static>, world: &mut World, event| match event.code {
        10700 => agent.ota_action(world, 1).expect("confirm inside the plan event"),
        10703 if event.value != EventValue::None => {
            let mut flash = flash.borrow_mut();
            let (mut at, end, total) = piece(event);
            assert!(at as usize <= flash.len(), "a piece from {at} behind what the MCU has");
            flash.truncate(at as usize);
            let mut buffer = [0; 500];
            while at < end.min(until) {
                let room = (end.min(until) - at).min(500) as usize;
                let count = agent.read(world, at, &mut buffer[..room]).expect("a read of the piece");
                flash.extend(&buffer[..count]);
                at += count as u32;
                if at == end || at == until || at.is_multiple_of(step) {
                    agent.mark(world, at).expect("a mark");
                    assert_eq!(agent.marked(), at);
                }
            }
            if after == After::GoOn && at == end {
                agent.ota_action(world, if end == total { 3 } else { 2 }).expect("next piece, or update");
            }
        }
        _ => {}
    });
}

mod marks {
    use super::*;

    const NEVER: u32 = u32::MAX;

    /// A device with 20 KB of staging loses power after so many bytes of the second piece.
    fn lost_in_the_second_piece(bytes: u32, flash: &Flash) -> Bench {
        let mut bench = Bench::new(20 * 1024);
        marking(&mut bench, flash, NEVER, NEVER, After::GoOn);
        bench.serve.extend([Serve::Well, Serve::Stall(bytes)]);
        bench.start_upgrade(plan());
        assert_eq!(state(&bench), 5);
        bench.reboot()
    }

    #[test]
    fn the_download_goes_on_at_the_mark_though_staging_holds_only_pieces() {
        let flash = Flash::default();
        let mut bench = lost_in_the_second_piece(17_000, &flash);
        assert_eq!(bench.agent.marked(), 20_480);
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.give_url(plan());
        // 16 KB of the second piece were recorded as staged.
        assert_eq!(bench.ranges[0], Range { start: 20_480 + 16_384, length: 4_096 });
        assert_eq!(bench.ranges[1].start, 40_960);
        let pieces: Vec<_> = bench.take_ota().into_iter().filter(|(code, _)| *code == 10703).collect();
        assert_eq!(pieces[0].1, "\"MCU\",50000,20480,20480");
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_mark_in_mid_piece_is_where_the_next_piece_event_begins_and_nothing_is_fetched_again() {
        let flash = Flash::default();
        let mut bench = Bench::new(20 * 1024);
        marking(&mut bench, &flash, 1_000, 30_500, After::GoOn);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), flash.borrow().len()), (8, 30_500));
        let mut bench = bench.reboot();
        assert_eq!(bench.agent.marked(), 30_500);
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.give_url(plan());
        assert_eq!(bench.ranges, [Range { start: 40_960, length: 9_040 }]);
        let pieces: Vec<_> = bench.take_ota().into_iter().filter(|(code, _)| *code == 10703).collect();
        assert_eq!(pieces[0].1, format!("\"MCU\",50000,30500,{}", 40_960 - 30_500));
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_whole_image_that_is_marked_is_offered_with_its_mark_as_start() {
        let flash = Flash::default();
        let mut bench = Bench::new(64 * 1024);
        marking(&mut bench, &flash, 4_000, NEVER, After::Stop);
        bench.start_upgrade(plan());
        let mut bench = bench.reboot();
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.give_url(plan());
        assert!(bench.ranges.is_empty(), "nothing is fetched again");
        let last = bench.take_ota().into_iter().find(|(code, _)| *code == 10703).unwrap();
        assert_eq!(last.1, "\"MCU\",50000,50000,0", "nothing is left to read");
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_last_piece_with_one_byte_missing_fetches_one_byte() {
        let flash = Flash::default();
        let mut bench = Bench::new(20 * 1024);
        bench.file = sim::bench::file(20_481);
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.serve.extend([Serve::Well, Serve::Silence]);
        bench.start_upgrade(plan());
        assert_eq!(state(&bench), 4);
        let mut bench = bench.reboot();
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.give_url(plan());
        assert_eq!(bench.ranges, [Range { start: 20_480, length: 1 }]);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn an_older_mark_costs_the_pieces_behind_it_and_no_more() {
        let flash = Flash::default();
        let mut bench = Bench::new(20 * 1024);
        // Marks once, at the end of the first piece, and takes the second without a mark.
        let taken = flash.clone();
        bench.application(move |agent, world, event| match event.code {
            10700 => agent.ota_action(world, 1).unwrap(),
            10703 => {
                let (start, end, total) = super::piece(event);
                let mut buffer = vec![0; (end - start) as usize];
                assert_eq!(agent.read(world, start, &mut buffer), Ok(buffer.len()));
                taken.borrow_mut().extend(buffer);
                if start == 0 {
                    agent.ota_action(world, 2).unwrap();
                    agent.mark(world, end).expect("the end of the piece before");
                } else if end < total {
                    agent.ota_action(world, 2).unwrap();
                }
            }
            _ => {}
        });
        bench.serve.extend([Serve::Well, Serve::Well, Serve::Stall(100)]);
        bench.start_upgrade(plan());
        let mut bench = bench.reboot();
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.give_url(plan());
        assert_eq!(bench.ranges[0], Range { start: 20_480, length: 20_480 });
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_mark_of_another_image_is_void() {
        let flash = Flash::default();
        let mut bench = lost_in_the_second_piece(17_000, &flash);
        bench.file[49_999] ^= 1;
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, 0);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));

        let mut bench = lost_in_the_second_piece(17_000, &flash);
        bench.connect();
        bench.offer(Plan { target: "3", ..plan() });
        assert_eq!(bench.agent.marked(), 0, "another version");
    }

    #[test]
    fn a_mark_of_wrong_bytes_is_void_once_the_digests_say_so() {
        let flash = Flash::default();
        let mut bench = Bench::new(20 * 1024);
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.serve.push_back(Serve::Corrupt);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), bench.agent.marked()), (6, 0));
        let mut bench = bench.reboot();
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_mark_outside_what_was_offered_is_refused_and_the_old_one_stays() {
        let flash = Flash::default();
        let mut bench = Bench::new(20 * 1024);
        assert_eq!(bench.agent.mark(&mut bench.world, 0), Err(CallError::State));
        marking(&mut bench, &flash, NEVER, 30_000, After::GoOn);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), bench.agent.marked()), (8, 30_000));
        for wrong in [1, 20_479, 40_961, 50_000, u32::MAX] {
            assert_eq!(bench.agent.mark(&mut bench.world, wrong), Err(CallError::Range), "{wrong}");
        }
        assert_eq!(bench.agent.marked(), 30_000);
        bench.agent.mark(&mut bench.world, 20_480).expect("back to the start of the piece");
        bench.agent.mark(&mut bench.world, 40_960).expect("its end");
        let mut bench = bench.reboot();
        assert_eq!(bench.agent.mark(&mut bench.world, 20_480), Err(CallError::Range), "before the download");
        bench.agent.mark(&mut bench.world, 0).expect("taken back");
        let flash = Flash::default();
        marking(&mut bench, &flash, NEVER, NEVER, After::GoOn);
        bench.connect();
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, 0);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_module_has_no_mark() {
        let mut bench = Bench::new(64 * 1024);
        bench.application(|agent, world, event| match event.code {
            10700 => agent.ota_action(world, 1).unwrap(),
            10704 => assert_eq!(agent.mark(world, 100), Err(CallError::State)),
            _ => {}
        });
        bench.start_upgrade(Plan {
            component: "app",
            source: "FWV1",
            target: "FWV2",
            kind: ComponentKind::Module,
            ..plan()
        });
        assert_eq!(state(&bench), 9);
    }

    #[test]
    fn a_mark_that_the_journal_does_not_take_is_no_mark() {
        let flash = Flash::default();
        let mut bench = Bench::new(20 * 1024);
        marking(&mut bench, &flash, NEVER, 10_000, After::Stop);
        bench.start_upgrade(plan());
        bench.world.flash.power_off();
        assert_eq!(bench.agent.mark(&mut bench.world, 5_000), Err(CallError::Storage));
        let bench = bench.reboot();
        assert_eq!((bench.agent.marked(), failure(&bench)), (10_000, None));
    }
}
