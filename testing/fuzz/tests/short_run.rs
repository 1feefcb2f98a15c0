//! Every fuzz target over its committed corpus, and over a short run of mutations made from it by a seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fuzz::corpus::{self, Input};
use fuzz::mutation::{Random, mutate};
use fuzz::{TARGETS, Target};

/// Replays one mutation: its seed, as a failure prints it.
const SEED: &str = "QUECOTA_FUZZ_SEED";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

/// The inputs of a target.
fn inputs(target: &Target) -> Vec<Input> {
    let file = folder().join(format!("corpus/{}.txt", target.name));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    corpus::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

fn holds(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok()
}

fn short_run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = inputs(target);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for ((input, case), line) in corpus.iter().zip(1..) {
        let case = case.as_deref().unwrap_or_default();
        assert!(holds(target, input), "{name}: line {line} of its corpus {case}");
    }
    let inputs: Vec<_> = corpus.into_iter().map(|(input, _)| input).collect();
    let seeds = match std::env::var(SEED) {
        Ok(seed) => {
            let seed = seed.parse().expect("a seed as a failure prints it");
            seed..seed + 1
        }
        Err(_) => 0..target.mutations,
    };
    for seed in seeds.clone() {
        let input = mutate(&inputs, &mut Random::new(seed));
        assert!(
            holds(target, &input),
            "{name}: seed {seed}; again by {SEED}={seed} cargo test -p fuzz {name}\ninput: {}",
            hex::encode(&input)
        );
    }
    println!("{name}: {} inputs of the corpus, {} mutations", inputs.len(), seeds.end - seeds.start);
}

macro_rules! short_runs {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            short_run(stringify!($name));
        })*

        #[test]
        fn every_target_has_its_short_run_and_its_program() {
            let named = [$(stringify!($name)),*];
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), named);
            for name in named {
                let program = folder().join(format!("fuzz_targets/{name}.rs"));
                assert!(program.exists(), "{}", program.display());
            }
        }
    };
}

short_runs!(frame ttlv messages texts journal http agent);
