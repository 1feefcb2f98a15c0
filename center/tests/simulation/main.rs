//! The engine under simulated time: thousands of short lives of a center and its devices, each from one seed.
//!
//! `QUECOTA_SEED=n` plays one of them again and prints what happened; `QUECOTA_SEEDS=n` plays so many.

mod model;
mod world;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quecota_center::seal::Keyring;
use world::{Figures, Mutant, World, template};

/// Lives that are played if nobody says otherwise: about 80 s of a processor, without optimisation.
const SEEDS: u64 = 200;
/// Lives in which a planted bug must have shown itself.
const UNTIL_CAUGHT: u64 = 400;

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: say a number")))
}

/// A folder in memory where there is one: the file is written some thousand times.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Most lives are short; every eighth is long.
fn steps(seed: u64) -> usize {
    if seed % 8 == 7 { 120 } else { 30 }
}

struct Stage {
    folder: tempfile::TempDir,
    keys: Keyring,
}

impl Stage {
    fn new() -> Stage {
        let folder = folder();
        let keys = Keyring::made();
        block_on(template(&folder.path().join("template.db"), &keys));
        Stage { folder, keys }
    }

    /// One life; what it did, or where engine and model disagree, with the way there.
    fn play(&self, seed: u64, planted: Mutant) -> Result<Figures, String> {
        let file = self.folder.path().join(format!("{seed}.db"));
        std::fs::copy(self.folder.path().join("template.db"), &file).unwrap();
        let played = block_on(async {
            let mut world = World::new(&file, &self.keys, seed, planted).await;
            let result = tokio::time::timeout(Duration::from_secs(600), world.run(steps(seed))).await;
            match result {
                Ok(Ok(())) => Ok(world.figures),
                Ok(Err(why)) => Err(format!("{}\n{why}", world.trace.join("\n"))),
                Err(_) => Err(format!("{}\nno end within 10 minutes", world.trace.join("\n"))),
            }
        });
        for ending in ["", "-wal", "-shm"] {
            // A run without trouble leaves no log beside its file.
            let _ = std::fs::remove_file(self.folder.path().join(format!("{seed}.db{ending}")));
        }
        played
    }
}

#[test]
fn the_engine_agrees_with_the_model_in_every_life() {
    let stage = Stage::new();
    if let Some(seed) = number("QUECOTA_SEED") {
        let played = stage.play(seed, Mutant::Nothing);
        println!("{}", played.as_ref().err().map_or("it agrees", |why| why));
        assert!(played.is_ok(), "seed {seed}");
        return;
    }
    let seeds = number("QUECOTA_SEEDS").unwrap_or(SEEDS);
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let (all, wrong) = (Mutex::new(Figures::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || wrong.lock().unwrap().len() >= 3 {
                        return;
                    }
                    match stage.play(seed, Mutant::Nothing) {
                        Ok(figures) => all.lock().unwrap().add(figures),
                        Err(why) => wrong.lock().unwrap().push((seed, why)),
                    }
                }
            });
        }
    });
    let (all, wrong) = (all.into_inner().unwrap(), wrong.into_inner().unwrap());
    println!(
        "{seeds} seeds: {} steps, {} packets, {} offers, {} ticks, {} crashes, {} device upgrades ended, {} violations; {:.1} s",
        all.steps,
        all.packets,
        all.offers,
        all.ticks,
        all.crashes,
        all.ends,
        wrong.len(),
        begun.elapsed().as_secs_f64()
    );
    for (seed, why) in &wrong {
        println!("--- QUECOTA_SEED={seed}\n{why}");
    }
    assert!(wrong.is_empty(), "play one of them again with QUECOTA_SEED");
}

#[test]
fn planted_bugs_are_caught() {
    let stage = Stage::new();
    let bugs = [
        Mutant::ForgottenLease,
        Mutant::AcknowledgeFirst,
        Mutant::EndlessRetries,
        Mutant::RepetitionCounts,
        Mutant::LimitsForgotten,
    ];
    for planted in bugs {
        let caught =
            (0..UNTIL_CAUGHT).find_map(|seed| stage.play(seed, planted).err().map(|why| (seed, why)));
        let (seed, why) = caught.unwrap_or_else(|| panic!("{planted:?} was not caught"));
        println!("{planted:?}: caught by seed {seed}: {}", why.lines().last().unwrap_or_default());
    }
}
