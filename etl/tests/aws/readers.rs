//! What docs/readers.md says of a lake on S3 is so: its snippets, read from the page, against a server that stands in for
//! S3.
//!
//! The page's places, BUCKET and PREFIX, become those of the test, and nothing else of a snippet is changed; where the
//! server is comes from the environment. Spark's is not run: its package for S3 comes from no registry that tests have.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::page::{self, Block};
use crate::servers::{ACCESS_KEY, Kind, REGION, Server, tool};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A program in `folder` that knows `server` and nothing else of AWS.
fn command(server: &Server, folder: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap();
    command.current_dir(folder).env_clear().env("PATH", path).env("HOME", folder);
    command
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY.0)
        .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// What a program prints that is given `input`.
fn output(mut command: Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{printed}");
    printed
}

fn only<'a>(blocks: &'a [Block], what: &str, is_it: impl Fn(&Block) -> bool) -> &'a Block {
    let found: Vec<_> = blocks.iter().filter(|block| is_it(block)).collect();
    assert_eq!(found.len(), 1, "docs/readers.md has one snippet for {what}");
    found[0]
}

#[test]
fn a_lake_on_s3_is_read_as_the_page_on_readers_says() {
    let server = Server::shared(Kind::Ministack);
    let bucket = server.bucket("readers");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let iotlake = |words: &str| {
        let mut command = command(server, folder, Path::new(env!("CARGO_BIN_EXE_iotlake")));
        command.args(words.split(' '));
        output(command, "")
    };
    let sample = workspace().join("fixtures/sample");
    for lake in ["lake".to_owned(), format!("s3://{bucket}/iot")] {
        let source = sample.display();
        iotlake(&format!(
            "backfill {source} --lake {lake} --contract rigado --as s3://elsewhere/raw --quiet"
        ));
    }

    let blocks = page::blocks(&std::fs::read_to_string(workspace().join("docs/readers.md")).unwrap());
    let there = |text: &str| text.replace("BUCKET", &bucket).replace("PREFIX", "iot");
    let files = only(&blocks, "files on S3", |block| block.language == "console" && block.is("aws"));
    let files = there(files.text.trim_start_matches("$ iotlake ").trim_end());
    let files = files.strip_suffix(" > files.txt").expect("the page keeps the list as files.txt");
    std::fs::write(folder.join("files.txt"), iotlake(files)).unwrap();

    // Nothing changes but the place.
    let place = format!("s3://{bucket}/iot/events");
    let mut snippets: Vec<(&str, String)> = Vec::new();
    for (reader, import) in [("polars", "import polars"), ("pandas", "import pandas")] {
        let block = only(&blocks, reader, |block| block.text.contains(import));
        snippets.push((reader, block.text.replace("lake/events", &place)));
    }
    let is_pyarrow =
        |block: &Block| block.text.starts_with("import pyarrow as pa\nimport pyarrow.dataset as ds\n");
    snippets.push(("pyarrow", only(&blocks, "pyarrow", is_pyarrow).text.replace("lake/events", &place)));
    let datafusion = only(&blocks, "DataFusion", |block| block.language == "python" && block.is("aws"));
    // DataFusion is told in the call, and nowhere else, which region it is and that the stand-in has no TLS.
    let region = format!("region=\"{REGION}\", allow_http=True");
    let told = there(&datafusion.text).replace("region=\"eu-central-1\"", &region);
    snippets.push(("datafusion", told));
    // DuckDB keeps its answer as a file.
    let duckdb = only(&blocks, "DuckDB", |block| block.is("duckdb") && block.is("aws"));
    let mut run = command(server, folder, &tool("python"));
    run.arg(workspace().join("etl/tests/aws/read_s3.py")).arg(server.endpoint());
    output(run, &there(&duckdb.text));
    let kept = "import pyarrow.parquet\nevents = pyarrow.parquet.read_table('answer.parquet')\n";
    snippets.push(("duckdb", kept.to_owned()));
    // What the local lake holds, as its own snippet reads it.
    snippets.push(("local", only(&blocks, "pyarrow", is_pyarrow).text.clone()));

    let snippets = snippets.iter().enumerate();
    let input = snippets
        .clone()
        .map(|(at, (_, text))| json!({"line": at, "language": "python", "marks": [], "text": text}));
    let mut run = command(server, folder, &workspace().join(".venv/bin/python"));
    run.arg(workspace().join("etl/tests/readers/read_page.py"));
    let answers = output(run, &json!(input.collect::<Vec<_>>()).to_string());
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen = |answer: &Value| (answer["rows"].clone(), answer["sha256"].clone());
    let expected = seen(answers.last().unwrap());
    assert_eq!(expected.0, 950, "{answers:?}");
    for (at, (reader, _)) in snippets {
        assert_eq!(seen(&answers[at]), expected, "{reader}: {}", answers[at]);
    }
}
