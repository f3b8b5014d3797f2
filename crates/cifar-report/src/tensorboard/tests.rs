//! Files are read back by a reader that shares nothing with the writer: its own checksum, bit by
//! bit, and fields of the wire format by their numbers.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use super::*;
use crate::first_layer_filters;

/// CRC32C by its definition: the reflected polynomial 0x1EDC6F41.
fn slow_crc(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

fn unmask(masked: u32) -> u32 {
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// The data of every whole record, and the bytes left over.
fn records(mut bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut records = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(12) {
        let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
        let crc = |bytes: &[u8]| unmask(u32::from_le_bytes(bytes.try_into().unwrap()));
        assert_eq!(crc(&head[8..]), slow_crc(&head[..8]), "record {}", records.len());
        let Some((record, rest)) = rest.split_at_checked(length + 4) else { break };
        let (data, tail) = record.split_at(length);
        assert_eq!(crc(tail), slow_crc(data), "record {}", records.len());
        records.push(data);
        bytes = rest;
    }
    (records, bytes.len())
}

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message: number and content.
#[derive(Debug, Clone)]
struct Fields<'a>(Vec<(u64, Field<'a>)>);

impl<'a> Fields<'a> {
    fn of(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                1 => Field::Bytes(take(&mut bytes, 8)),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    Field::Bytes(take(&mut bytes, length))
                }
                5 => Field::Bytes(take(&mut bytes, 4)),
                kind => panic!("wire type {kind}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = Field<'a>> {
        self.0.iter().filter(move |field| field.0 == number).map(|field| field.1)
    }

    fn has(&self, number: u64) -> bool {
        self.all(number).next().is_some()
    }

    fn bytes(&self, number: u64) -> &'a [u8] {
        match self.all(number).next() {
            Some(Field::Bytes(bytes)) => bytes,
            other => panic!("field {number} is {other:?}"),
        }
    }

    fn number(&self, number: u64) -> u64 {
        match self.all(number).next() {
            Some(Field::Number(value)) => value,
            None => 0,
            other => panic!("field {number} is {other:?}"),
        }
    }

    fn messages(&self, number: u64) -> Vec<Self> {
        let message = |field| match field {
            Field::Bytes(bytes) => Self::of(bytes),
            Field::Number(value) => panic!("field {number} is {value}"),
        };
        self.all(number).map(message).collect()
    }

    fn message(&self, number: u64) -> Self {
        Self::of(self.bytes(number))
    }

    fn text(&self, number: u64) -> &'a str {
        std::str::from_utf8(self.bytes(number)).unwrap()
    }

    fn doubles(&self, number: u64) -> Vec<f64> {
        let eight = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap());
        self.bytes(number).chunks_exact(8).map(eight).collect()
    }
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(n);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            break;
        }
    }
    value
}

/// The events of a whole file, without the two that every file begins with.
fn events(bytes: &[u8]) -> Vec<Fields<'_>> {
    let (records, left) = records(bytes);
    assert_eq!(left, 0, "the file is cut");
    let events: Vec<Fields<'_>> = records.into_iter().map(Fields::of).collect();
    assert_eq!(events[0].text(3), "brain.Event:2");
    assert_eq!(events[1].message(7).number(1), 1, "the second event is no START");
    events[2..].to_vec()
}

/// The only value of an event's summary.
fn value<'a>(event: &Fields<'a>) -> Fields<'a> {
    let mut values = event.message(5).messages(1);
    assert_eq!(values.len(), 1);
    values.remove(0)
}

fn event_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn written(folder: &Path, tell: impl FnOnce(&mut EventWriter)) -> Vec<u8> {
    let mut writer = EventWriter::create(folder, 0);
    tell(&mut writer);
    writer.finish().unwrap();
    fs::read(event_files(folder).pop().unwrap()).unwrap()
}

#[test]
fn scalars_are_read_back_as_f32_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path(), |writer| {
        for step in 1..=1000 {
            writer.scalars(step, &[("step/loss", 1.0 / step as f64), ("step/rate", 1e-3)]);
        }
    });
    let events = events(&bytes);
    assert_eq!(events.len(), 1000);
    let mut last_time = 0.0;
    for (step, event) in (1u64..).zip(&events) {
        assert_eq!(event.number(2), step);
        let time = event.doubles(1)[0];
        assert!(time >= last_time && time > 1.7e9, "{time} after {last_time}");
        last_time = time;
        let values = event.message(5).messages(1);
        let expected = [("step/loss", (1.0 / step as f64) as f32), ("step/rate", 1e-3)];
        let got: Vec<_> = values
            .iter()
            .map(|v| (v.text(1), f32::from_le_bytes(v.bytes(2).try_into().unwrap())))
            .collect();
        assert_eq!(got, expected);
    }
}

#[test]
fn a_picture_is_read_back_pixel_by_pixel() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = first_layer_filters("Filters", &[0.25, -0.5, 0.125], [1, 3, 1, 1]);
    let picture = drawn.to_image();
    let bytes = written(folder.path(), |writer| writer.image("images/one", 7, || drawn));
    let events = events(&bytes);
    assert_eq!((events.len(), events[0].number(2)), (1, 7));
    let value = value(&events[0]);
    assert_eq!(value.text(1), "images/one");
    let image = value.message(4);
    assert_eq!(
        (image.number(1), image.number(2), image.number(3)),
        (u64::from(picture.height()), u64::from(picture.width()), 3)
    );
    assert_eq!(image::load_from_memory(image.bytes(4)).unwrap().to_rgb8(), picture);
}

#[test]
fn a_histogram_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path(), |writer| {
        writer.histogram("weights/fc.bias".to_owned(), 3, &[1.0, 1.0, -4.0]);
        writer.histogram("weights/none".to_owned(), 3, &[f32::NAN]);
    });
    let events = events(&bytes);
    assert_eq!(events.len(), 1, "values that are not finite have no histogram");
    let value = value(&events[0]);
    assert_eq!(value.text(1), "weights/fc.bias");
    let histogram = value.message(5);
    let figures: Vec<f64> = (1..=5).map(|number| histogram.doubles(number)[0]).collect();
    assert_eq!(figures, [-4.0, 1.0, 3.0, -2.0, 18.0]);
    assert_eq!(histogram.doubles(6), [-4.5, -4.0, 1.0, 1.125]);
    assert_eq!(histogram.doubles(7), [0.0, 1.0, 0.0, 2.0]);
}

#[test]
fn text_and_hyperparameters_carry_their_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path(), |writer| {
        writer.text("config", 0, "# Recipe".to_owned());
        writer.hparams(vec![
            ("seed".to_owned(), Hparam::Number(3.0)),
            ("nesterov".to_owned(), Hparam::Bool(false)),
            ("model".to_owned(), Hparam::Text("simplenet".to_owned())),
        ]);
        writer.end_of_run(9);
    });
    let events = events(&bytes);
    let plugin = |at: usize| value(&events[at]).message(9).message(1);
    let text = value(&events[0]);
    assert_eq!((text.text(1), plugin(0).text(1)), ("config", "text"));
    assert_eq!(text.message(8).number(1), 7, "not a tensor of strings");
    assert_eq!(text.message(8).text(8), "# Recipe");

    assert_eq!(value(&events[1]).text(1), "_hparams_/session_start_info");
    assert_eq!(plugin(1).text(1), "hparams");
    let entries = plugin(1).message(2).message(3).messages(1);
    let names: Vec<&str> = entries.iter().map(|entry| entry.text(1)).collect();
    assert_eq!(names, ["model", "nesterov", "seed"]);
    assert_eq!(entries[0].message(2).text(3), "simplenet");
    assert!(entries[1].message(2).has(4), "a value that is false must still be there");
    assert_eq!(entries[2].message(2).doubles(2), [3.0]);

    assert_eq!((value(&events[2]).text(1), events[2].number(2)), ("_hparams_/session_end_info", 9));
    assert_eq!(plugin(2).message(2).message(4).number(1), 1, "not a success");
}

#[test]
fn a_second_sitting_writes_a_file_that_sorts_behind_and_starts_where_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    // A clock that was turned back.
    fs::write(folder.path().join("events.out.tfevents.9000000000.cifar"), "").unwrap();
    fs::write(folder.path().join("metrics.jsonl"), "").unwrap();
    let first = EventWriter::create(folder.path(), 0);
    drop(first);
    EventWriter::create(folder.path(), 40).finish().unwrap();
    let names: Vec<String> = event_files(folder.path())
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let name = |at: u64| format!("events.out.tfevents.{at}.cifar");
    assert_eq!(names[..3], [name(9_000_000_000), name(9_000_000_001), name(9_000_000_002)]);
    let starts = names[1..3].iter().map(|name| {
        let bytes = fs::read(folder.path().join(name)).unwrap();
        Fields::of(records(&bytes).0[1]).number(2)
    });
    assert_eq!(starts.collect::<Vec<_>>(), [0, 41]);
}

/// A disk of `room` bytes whose content outlives the writer.
struct SmallDisk {
    content: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.content.lock().unwrap();
        let n = bytes.len().min(self.room - content.len());
        if n == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.extend(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_file_but_not_the_telling_and_what_is_there_can_be_read() {
    let content = Arc::new(Mutex::new(Vec::new()));
    let disk = SmallDisk { content: Arc::clone(&content), room: 5000 };
    let folder = Path::new("run");
    let open = || Ok(("run/file".into(), disk));
    let mut writer = EventWriter::start(folder, 0, open);
    for step in 0..10_000 {
        writer.scalars(step, &[("loss", 2.0)]);
    }
    let error = writer.finish().unwrap_err();
    assert!(
        matches!(&error, EventFileError::Write { source, .. }
        if source.kind() == io::ErrorKind::StorageFull),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "cannot write run/file");
    let content = content.lock().unwrap();
    let (records, left) = records(&content);
    assert!(records.len() > 50 && left > 0, "{} records and {left} bytes", records.len());
    let steps = records[2..].iter().map(|record| Fields::of(record).number(2));
    assert!(steps.eq(0..records.len() as u64 - 2));
}

#[test]
fn a_missing_folder_is_told_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let mut writer = EventWriter::create(&absent, 0);
    writer.scalars(1, &[("loss", 2.0)]);
    let error = writer.finish().unwrap_err();
    assert!(error.to_string().contains(absent.to_str().unwrap()), "{error}");
}

/// A disk that stands still until it is let go.
struct StuckDisk(Receiver<()>);

impl Write for StuckDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An error means that the other side is gone: from then on the disk works.
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_stands_still_blocks_nobody_and_what_is_lost_is_counted() {
    let (release, stuck) = channel();
    let open = || Ok(("run/file".into(), StuckDisk(stuck)));
    let mut writer = EventWriter::start(Path::new("run"), 0, open);
    for step in 0..1024 + 100 {
        writer.text("note", step, String::new());
    }
    drop(release);
    let error = writer.finish().unwrap_err();
    // The thread may have taken one parcel out of the queue before it stood still.
    assert!(matches!(error, EventFileError::Lost { n_lost: 99 | 100, .. }), "{error:?}");
}

#[test]
fn a_drawing_that_panics_is_told_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = EventWriter::create(folder.path(), 0);
    writer.image("images/none", 1, || panic!("nothing to draw"));
    writer.scalars(1, &[("loss", 2.0)]);
    assert!(matches!(writer.finish(), Err(EventFileError::Drawing { .. })));
}
