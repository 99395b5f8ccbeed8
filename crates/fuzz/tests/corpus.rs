//! Every input of the corpus goes through its target: what the search once found stays right. A
//! corpus is a file of lines, each an input in hexadecimal digits; `make fuzz` finds new ones.
#![allow(clippy::unwrap_used)]

use std::path::Path;

/// One hexadecimal line.
fn input(line: &str) -> Vec<u8> {
    assert!(line.len().is_multiple_of(2), "half a byte: {line}");
    (0..line.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_corpus_is_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, run) in fuzz::TARGETS {
        let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let mut inputs = 0;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            run(&input(line));
            inputs += 1;
        }
        assert!(inputs > 0, "{name} has no corpus");
    }
}
