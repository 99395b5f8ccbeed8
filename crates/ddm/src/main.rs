//! The program `ddm`. Its logic is in the library beside it, so that tests can call it.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ddm::run()
}
