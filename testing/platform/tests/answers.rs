//! The table of answers against the parser without I/O, however their bytes come.

use quecota_core::platform::{FetchEnd, FetchHead};
use quecota_core::wire::download::{Download, Step};
use test_platform::answers::{CASES, Case, LENGTH, Outcome, START, target};

/// What a port with sockets does with the library's parser, `step` bytes at a time.
fn run(case: &Case, step: usize) -> Outcome {
    let authority = "127.0.0.1:80";
    let mut download = <Download>::new(&case.url(authority), START, LENGTH).expect(case.name);
    let mut outcome = Outcome { targets: Vec::new(), head: None, body: Vec::new(), end: FetchEnd::Failed };
    for answer in case.answers {
        let mut request = [0; 2560];
        let length = download.request(&mut request).expect(case.name);
        outcome.targets.push(target(std::str::from_utf8(&request[..length]).unwrap()));
        match read(&mut download, &answer.bytes(authority), step, &mut outcome) {
            Some(Ok(end)) => {
                outcome.end = end;
                break;
            }
            Some(Err(())) => break,
            None if answer.closes() && download.closed().is_ok() => outcome.end = FetchEnd::Complete,
            None => {}
        }
    }
    outcome
}

/// `None`: it was a redirect, or its end is the end of the connection.
fn read(
    download: &mut Download,
    bytes: &[u8],
    step: usize,
    outcome: &mut Outcome,
) -> Option<Result<FetchEnd, ()>> {
    for mut piece in bytes.chunks(step) {
        loop {
            let Ok((used, step)) = download.read(piece) else { return Some(Err(())) };
            piece = &piece[used..];
            match step {
                Step::More => break,
                Step::Redirected => return None,
                Step::End(_) => return Some(Ok(FetchEnd::Complete)),
                Step::Head(head) => assert_eq!(outcome.head.replace(FetchHead::from(&head)), None),
                Step::Body(body) => outcome.body.extend_from_slice(body),
            }
        }
    }
    None
}

#[test]
fn every_answer_of_the_table_is_taken_as_the_table_says_in_pieces_and_whole() {
    for case in CASES {
        for step in [1, 7, usize::MAX] {
            assert_eq!(run(case, step), case.outcome(), "{} in steps of {step}", case.name);
        }
    }
}
