use std::path::PathBuf;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, RgbaImage};
use proptest::prelude::*;

use super::*;

/// A picture without two equal neighbours, of few colours, so that a GIF can hold it.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 37 % 6 * 50) as u8, (y * 29 % 6 * 50) as u8, ((x + 2 * y) % 4 * 80) as u8])
    })
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn decoded(bytes: &[u8]) -> Result<ImageFile, ImageFileError> {
    decode(bytes, Path::new("cat.png"), 32, 32)
}

const FORMATS: [(ImageFormat, &str); 5] = [
    (ImageFormat::Png, "PNG"),
    (ImageFormat::Jpeg, "JPEG"),
    (ImageFormat::WebP, "WebP"),
    (ImageFormat::Bmp, "BMP"),
    (ImageFormat::Gif, "GIF"),
];

#[test]
fn a_picture_of_the_right_size_passes_bit_for_bit_in_every_format() {
    let original = picture(32, 32);
    for (format, name) in FORMATS {
        let file = decoded(&encoded(&original.clone().into(), format)).unwrap();
        assert_eq!((file.format, file.width, file.height), (name, 32, 32));
        if format == ImageFormat::Jpeg {
            continue; // does not store the bits
        }
        assert_eq!(file.pixels, planes(&original), "{name}");
    }
}

#[test]
fn planes_are_red_green_blue_row_by_row() {
    let pixels = decoded(&encoded(&picture(32, 32).into(), ImageFormat::Png)).unwrap().pixels;
    let Rgb(colour) = *picture(32, 32).get_pixel(5, 9);
    let at = 9 * 32 + 5;
    assert_eq!([pixels[at], pixels[1024 + at], pixels[2048 + at]], colour);
}

#[test]
fn the_middle_is_cut_out_and_averaged() {
    // 128 x 64: two squares of 64 would fit; the middle one is half black, half white.
    let wide = RgbImage::from_fn(128, 64, |x, _| match x {
        0..32 => Rgb([255, 0, 0]),
        32..64 => Rgb([0, 0, 0]),
        64..96 => Rgb([255, 255, 255]),
        _ => Rgb([0, 0, 255]),
    });
    let file = decoded(&encoded(&wide.into(), ImageFormat::Png)).unwrap();
    assert_eq!((file.width, file.height), (128, 64));
    for plane in file.pixels.chunks_exact(1024) {
        for row in plane.chunks_exact(32) {
            assert!(row[..15].iter().all(|&v| v == 0) && row[17..].iter().all(|&v| v == 255));
        }
    }
    // A board finer than the result is grey: nothing is skipped.
    let board = GrayImage::from_fn(320, 320, |x, y| image::Luma([255 * ((x + y) % 2) as u8]));
    let file = decoded(&encoded(&board.into(), ImageFormat::Png)).unwrap();
    assert!(file.pixels.iter().all(|v| (126..=129).contains(v)));
}

#[test]
fn any_proportions_are_served_and_long_pictures_cost_nothing() {
    for (width, height) in [(1, 1), (1, 16_384), (16_384, 1), (31, 33), (500, 20)] {
        let bytes = encoded(&picture(width, height).into(), ImageFormat::Png);
        for (rows, columns) in [(32, 32), (24, 48), (7, 1)] {
            let file = decode(&bytes, Path::new("x"), rows, columns).unwrap();
            assert_eq!(file.pixels.len(), 3 * rows * columns);
        }
    }
}

#[test]
fn what_is_transparent_lies_over_white() {
    let alpha = [0, 255, 128];
    let ground =
        RgbaImage::from_fn(32, 32, |x, _| image::Rgba([100, 0, 200, alpha[x as usize % 3]]));
    let pixels = decoded(&encoded(&ground.into(), ImageFormat::Png)).unwrap().pixels;
    let colour = |x: usize| [pixels[x], pixels[1024 + x], pixels[2048 + x]];
    assert_eq!(colour(0), [255, 255, 255]);
    assert_eq!(colour(1), [100, 0, 200]);
    // 100 * 128/255 + 255 * 127/255 = 177.2
    assert_eq!(colour(2), [177, 127, 227]);
}

#[test]
fn grey_and_16_bits_become_colour_of_8() {
    let grey = GrayImage::from_fn(32, 32, |x, y| image::Luma([(x * 7 + y) as u8]));
    let pixels = decoded(&encoded(&grey.clone().into(), ImageFormat::Png)).unwrap().pixels;
    assert!(pixels.chunks_exact(1024).all(|plane| plane == grey.as_raw()));
    let deep = DynamicImage::ImageLuma8(grey.clone()).to_luma16();
    let pixels = decoded(&encoded(&deep.into(), ImageFormat::Png)).unwrap().pixels;
    assert!(pixels.chunks_exact(1024).all(|plane| plane == grey.as_raw()));
}

/// An EXIF block in the order of Intel's bytes with nothing but an orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

/// What the file stores and how it is held up, by the EXIF standard's table.
#[test]
fn exif_orientation_is_applied() {
    let upright = picture(32, 32);
    type Turn = fn(&RgbImage) -> RgbImage;
    let stored: [(u8, Turn); 8] = [
        (1, |p| p.clone()),
        (2, |p| imageops::flip_horizontal(p)),
        (3, |p| imageops::rotate180(p)),
        (4, |p| imageops::flip_vertical(p)),
        (5, |p| imageops::rotate90(&imageops::flip_vertical(p))),
        (6, |p| imageops::rotate270(p)),
        (7, |p| imageops::rotate90(&imageops::flip_horizontal(p))),
        (8, |p| imageops::rotate90(p)),
    ];
    for (orientation, turn) in stored {
        let stored = turn(&upright);
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.write_image(stored.as_raw(), 32, 32, ExtendedColorType::Rgb8).unwrap();
        assert_eq!(decoded(&bytes).unwrap().pixels, planes(&upright), "orientation {orientation}");
    }
    // A photograph lying on its side: the sizes are those of the upright one.
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.write_image(picture(60, 40).as_raw(), 60, 40, ExtendedColorType::Rgb8).unwrap();
    let file = decode(&bytes, Path::new("photo"), 48, 32).unwrap();
    assert_eq!((file.width, file.height, file.pixels.len()), (40, 60, 3 * 48 * 32));
}

#[test]
fn the_first_frame_of_a_moving_picture_counts() {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for colour in [[0, 255, 0, 255], [255, 0, 0, 255]] {
        let frame = image::Frame::new(RgbaImage::from_pixel(32, 32, image::Rgba(colour)));
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    let pixels = decoded(&bytes).unwrap().pixels;
    assert!(pixels[..1024].iter().all(|&v| v == 0) && pixels[1024..2048].iter().all(|&v| v == 255));
}

/// A camera's picture: a thumbnail with an end of its own in front, a film behind.
#[test]
fn what_surrounds_a_jpeg_does_not_matter() {
    let bytes = encoded(&picture(40, 36).into(), ImageFormat::Jpeg);
    let whole = decoded(&bytes).unwrap();
    let film = [&bytes[..], b"....ftypmp42\xff\xda\0\x08 no end"].concat();
    assert_eq!(decoded(&film).unwrap(), whole);
    let thumbnail = b"\xff\xe2\0\x0a\xff\xd8\xff\xda\xff\xd9..".as_slice();
    let with_thumbnail = [&bytes[..2], thumbnail, &bytes[2..]].concat();
    assert_eq!(decoded(&with_thumbnail).unwrap(), whole);
    let cut = decoded(&with_thumbnail[..with_thumbnail.len() - 40]).unwrap_err().to_string();
    assert!(cut.contains("damaged JPEG") && cut.contains("ends before"), "{cut}");
}

/// Whether `bytes` are refused by an error that names the file; true also for a file that lost
/// only what comes after its pixels.
fn refused_or_whole(bytes: &[u8], whole: &ImageFile) -> bool {
    match decoded(bytes) {
        Ok(file) => file == *whole,
        Err(error) => error.to_string().starts_with("cat.png"),
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for (format, name) in FORMATS {
        let bytes = encoded(&picture(40, 36).into(), format);
        let whole = decoded(&bytes).unwrap();
        for len in 0..bytes.len() {
            assert!(
                refused_or_whole(&bytes[..len], &whole),
                "{name} cut to {len} of {}",
                bytes.len()
            );
        }
        let message = decoded(&bytes[..bytes.len() / 2]).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("again"), "{message}");
    }
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_anything_is_allocated() {
    let mut gif = encoded(&picture(8, 8).into(), ImageFormat::Gif);
    gif[6..10].fill(0xff);
    let mut bmp = encoded(&picture(8, 8).into(), ImageFormat::Bmp);
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    let mut jpeg = encoded(&picture(8, 8).into(), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    // The extended form has 24 bits for a side, the others of a WebP have 14.
    let mut webp = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\xff\0\xfe\xff\0".to_vec();
    webp.extend(b"VP8L\x06\0\0\0\x2f\xff\xff\xff\x0f\0");
    let png = png_header(0xffff, 0xffff);
    for (bytes, name) in [(gif, "GIF"), (bmp, "BMP"), (jpeg, "JPEG"), (png, "PNG"), (webp, "WebP")]
    {
        let message = decoded(&bytes).unwrap_err().to_string();
        for words in ["cat.png", "65535x65535", "16384", "67 million", "scale it down"] {
            assert!(message.contains(words), "{name}: {message}");
        }
    }
}

/// The beginning of a PNG of three colours.
fn png_header(width: u16, height: u16) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let [w, h] = [width, height].map(|side| u32::from(side).to_be_bytes());
    let header = [b"IHDR".as_slice(), &w, &h, &[8, 2, 0, 0, 0]].concat();
    png.extend([&[0, 0, 0, 13], &header[..], &crc32(&header).to_be_bytes()].concat());
    png.extend(b"\0\0\0\x01IDATx\0\0\0\0");
    png
}

#[test]
fn a_header_is_believed_as_far_as_the_bytes_go() {
    let mut png = png_header(8000, 8000);
    let message = decoded(&png).unwrap_err().to_string();
    for words in ["cat.png claims 8000x8000 pixels", "has only 46 bytes", "again"] {
        assert!(message.contains(words), "{message}");
    }
    png.resize(8000, 0);
    let message = decoded(&png).unwrap_err().to_string();
    assert!(message.contains("damaged PNG"), "{message}");
    // One colour packs as tightly as anything does.
    let flat = GrayImage::from_pixel(8000, 8000, image::Luma([7]));
    let mut bytes = Vec::new();
    let best = (image::codecs::png::CompressionType::Best, image::codecs::png::FilterType::Sub);
    let encoder = PngEncoder::new_with_quality(&mut bytes, best.0, best.1);
    encoder.write_image(flat.as_raw(), 8000, 8000, ExtendedColorType::L8).unwrap();
    assert!(decoded(&bytes).unwrap().pixels.iter().all(|&value| value == 7));
}

/// As PNG has it.
fn crc32(bytes: &[u8]) -> u32 {
    let shifted = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes
        .iter()
        .fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| shifted(crc)))
}

#[test]
fn every_error_says_what_was_found_and_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let message = |path: &Path| read(path, 32, 32).unwrap_err().to_string();
    let cases = [
        (dir.path().join("none.png"), vec!["none.png", "check that it exists"]),
        (dir.path().to_owned(), vec!["is a folder", "name a picture"]),
        (file("empty.png", b""), vec!["empty.png", "0 bytes", "again"]),
        (file("text.png", b"not a picture"), vec!["text.png", "6e6f74206120706", "PNG, JPEG"]),
        (file("short.jpg", b"\xff\xd8\xff"), vec!["short.jpg", "damaged JPEG", "ends before"]),
        (PathBuf::from("/dev/zero"), vec!["/dev/zero is no ordinary file", "standard input"]),
        (file("photo.tiff", b"II\x2a\0\0\0\0\0"), vec!["photo.tiff", "save it as PNG"]),
    ];
    for (path, words) in cases {
        let message = message(&path);
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} in: {message}");
    }
    let saved = file("right.dat", &encoded(&picture(32, 32).into(), ImageFormat::Png));
    assert_eq!(read(&saved, 32, 32).unwrap().pixels, planes(&picture(32, 32)));
}

proptest! {
    /// Damage anywhere is an error or another picture, never a crash.
    #[test]
    fn flipped_bytes_do_no_harm(
        format in 0usize..5, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encoded(&picture(20, 20).into(), FORMATS[format].0);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(file) = decoded(&bytes) {
            prop_assert_eq!(file.pixels.len(), 3 * 32 * 32);
        }
    }
}
