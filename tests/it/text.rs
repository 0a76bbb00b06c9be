use proptest::prelude::*;
use tplc::{
    corpus::{Coordinate, Position},
    text::{EnrichedText, NumberFormat, PieceKind, Skeleton, Tags},
};

use crate::golden;

fn position(x: &str, y: &str, z: &str) -> Position {
    [x, y, z].map(|text| Coordinate::parse(text).unwrap())
}

#[test]
fn renders_the_text_of_the_domain() {
    let tags = Tags::conformer();
    let skeleton = Skeleton::new("CC=O", tags.completion.as_ref()).unwrap();
    let conformer = [
        position("-1.2345", "0.0432", "0.1"),
        position("0.2014", "-0.441", "0"),
        position("1.10325", "0.3321", "-0.05"),
    ];
    let text = skeleton.render(&conformer, &NumberFormat::fixed(4)).unwrap();
    assert_eq!(
        text,
        "[CONFORMER][C]<-1.2345,0.0432,0.1000>[C]<0.2014,-0.4410,0.0000>=[O]<1.1032,0.3321,-0.0500>[/CONFORMER]"
    );
    let text = skeleton.render(&conformer, &NumberFormat::trimmed(4)).unwrap();
    assert_eq!(
        text,
        "[CONFORMER][C]<-1.2345,0.0432,0.1>[C]<0.2014,-0.441,0>=[O]<1.1032,0.3321,-0.05>[/CONFORMER]"
    );
    assert!(EnrichedText::parse(&text).unwrap().check_smiles("CC=O").is_ok());
    assert!(EnrichedText::parse(&text).unwrap().check_smiles("[C][C]=[O]").is_ok());
}

#[test]
fn copies_everything_but_the_atoms() {
    let smiles = "[13CH3]/C=C/c1cc[nH]c1.[Na+].C%10CC%10(Cl)N->[Cu]";
    let skeleton = Skeleton::new(smiles, None).unwrap();
    assert_eq!(
        skeleton.as_str().replace("<>", ""),
        "[13CH3]/[C]=[C]/[c]1[c][c][nH][c]1.[Na+].[C]%10[C][C]%10([Cl])[N]->[Cu]"
    );
    let conformer = vec![Position::default(); skeleton.atoms()];
    let text = skeleton.render(&conformer, &NumberFormat::fixed(4)).unwrap();
    assert_eq!(EnrichedText::parse(&text).unwrap().skeleton(), skeleton);
}

#[test]
fn takes_the_completion_out_of_a_whole_row() {
    let row = "[SMILES]CC[/SMILES][CONFORMER][C]<0,0,0>[C]<1.5,0,0>[/CONFORMER]<|im_end|>";
    let text = EnrichedText::parse(row).unwrap();
    assert_eq!(text.as_str(), "[CONFORMER][C]<0,0,0>[C]<1.5,0,0>[/CONFORMER]");
    let literals: Vec<&str> = text
        .pieces()
        .filter(|piece| piece.kind == PieceKind::Literal)
        .map(|piece| piece.span.of(text.as_str()))
        .collect();
    assert_eq!(literals, ["[CONFORMER][C]<", ">[C]<", ">[/CONFORMER]"]);
    let bare = EnrichedText::parse("[SMILES]CC[/SMILES][C]<0,0,0>[C]<1.5,0,0>").unwrap();
    assert_eq!(bare.as_str(), "[C]<0,0,0>[C]<1.5,0,0>");
}

#[test]
fn white_space_around_a_completion_is_no_part_of_it() {
    let plain = "[C]<0,0,0>[C]<1.5,0,0>";
    let tagged = format!("[CONFORMER]{plain}[/CONFORMER]");
    for (row, completion) in [
        (format!(" \t{plain}  "), plain),
        (format!("[SMILES]CC[/SMILES] {plain}\r\n"), plain),
        (format!("  [SMILES]CC[/SMILES] {tagged} <|im_end|>"), &tagged),
        (format!("[SMILES]CC[/SMILES] {plain}[/CONFORMER]\n"), &format!("{plain}[/CONFORMER]")),
    ] {
        let text = EnrichedText::parse(&row).unwrap();
        assert_eq!(text.as_str(), completion);
        assert_eq!(
            text.holes().iter().map(|hole| hole.span.of(text.as_str())).collect::<Vec<_>>(),
            ["0,0,0", "1.5,0,0"]
        );
        assert!(text.check_smiles("CC").is_ok());
    }
}

#[test]
fn faults_say_what_and_where() {
    let mut faults: Vec<String> = [
        "",
        "CC=O",
        "[C]",
        "[C]<1,2,3",
        "[C]<1,2>",
        "[C]<>",
        "[C]<1,2,3,4>",
        "[C]<5.799,-0.2748,-0.9587abra>",
        "[C]<1,2,nan>",
        "[C]<1.,2,3>",
        "[C]<1e-5,2,3>",
        "[C]<1,2,3>O<1,2,3>",
        "[C]<1,2,3>[O",
        "[C]<1,2,3>)",
        "[Xq]<1,2,3>",
        "[C]<1,2,3>é",
        "[CONFORMER][C]<1,2,3>",
        " ",
        "[C]<1,2,3> [O]<1,2,3>",
        "[C]<1, 2,3>",
        "[CONFORMER]\t[C]<1,2,3>[/CONFORMER]",
    ]
    .iter()
    .map(|text| format!("{text}\n    {}", EnrichedText::parse(text).unwrap_err()))
    .collect();
    let skeleton = Skeleton::new("CO", None).unwrap();
    let short = skeleton.render(&[Position::default()], &NumberFormat::fixed(4)).unwrap_err();
    let far = skeleton
        .render(&[Position::default(), position("0", "-100", "0")], &NumberFormat::fixed(4))
        .unwrap_err();
    let text = EnrichedText::parse("[C]<0,0,0>[C]<0,0,0>").unwrap();
    let huge = EnrichedText::parse("[C]<0,12345678901.5,0>").unwrap().conformer().unwrap_err();
    faults.push(format!("[C]<0,12345678901.5,0> as coordinates\n    {huge}"));
    faults.push(format!("CO with one position\n    {short}"));
    faults.push(format!("CO with y = -100\n    {far}"));
    faults.push(format!("CO beside [C][C]\n    {}", text.check_smiles("CO").unwrap_err()));
    golden::check("text", "faults", faults.join("\n"));
}

#[test]
fn unreadable_number_formats_say_why() {
    let faults: Vec<String> = [
        "",
        "fixed",
        "fixed12",
        "trim4",
        "(decimals: 12)",
        "(integer_digits: 0)",
        "(decimal: 4)",
        "(decimals: 4",
    ]
    .iter()
    .map(|text| format!("{text}\n    {}", text.parse::<NumberFormat>().unwrap_err()))
    .collect();
    golden::check("text", "number_format_faults", faults.join("\n"));
}

/// What `FromStr` refuses is refused in files too: a format that cannot write would write wrong numbers.
#[test]
fn formats_that_cannot_write_are_read_from_no_file() {
    let faults: Vec<String> = [
        r#"{"decimals":12}"#,
        r#"{"integer_digits":0}"#,
        r#"{"decimals":12,"integer_digits":77}"#,
        r#"{"range":[1,0.5]}"#,
    ]
    .iter()
    .map(|text| format!("{text}\n    {}", serde_json::from_str::<NumberFormat>(text).unwrap_err()))
    .collect();
    golden::check("text", "number_format_in_files", faults.join("\n"));
    let whole =
        r#"{"sign":"minus","integer_digits":3,"decimals":2,"trailing_zeros":"keep","leading_zeros":"one"}"#;
    let read: NumberFormat = serde_json::from_str(whole).unwrap();
    assert_eq!(read, "(integer_digits: 3, decimals: 2)".parse().unwrap());
    assert_eq!(serde_json::to_string(&read).unwrap(), whole);
}

/// SMILES with what the corpora lack: ring closures of two digits, isotopes, salts, explicit hydrogens.
const SMILES: [&str; 6] =
    ["C", "CC(=O)Oc1ccccc1C(=O)O", "[13CH3][C@@H](N)C#N", "[Na+].[Cl-]", "C%10CCC%10", "[H]O[H]"];

proptest! {
    #[test]
    fn parse_undoes_render(
        which in 0..SMILES.len(),
        nanos in proptest::collection::vec(-99_999_999_999i64..=99_999_999_999, 39),
        decimals in 0u8..=9, strip: bool, tagged: bool,
    ) {
        let format = if strip { NumberFormat::trimmed(decimals) } else { NumberFormat::fixed(decimals) };
        let tags = if tagged { Tags::conformer() } else { Tags::none() };
        let skeleton = Skeleton::new(SMILES[which], tags.completion.as_ref()).unwrap();
        let step = 10i64.pow(9 - u32::from(decimals));
        let exact = |nanos: &i64| Coordinate::from_nanos(nanos / step * step);
        let conformer: Vec<Position> = nanos
            .chunks_exact(3)
            .take(skeleton.atoms())
            .map(|xyz| [exact(&xyz[0]), exact(&xyz[1]), exact(&xyz[2])])
            .collect();
        let text = skeleton.render(&conformer, &format).unwrap();
        let read = EnrichedText::parse(&text).unwrap();
        prop_assert_eq!(read.conformer().unwrap(), conformer);
        prop_assert_eq!(&read.skeleton(), &skeleton);
        let joined: String = read.pieces().map(|piece| piece.span.of(read.as_str())).collect();
        prop_assert_eq!(joined, text.as_str());
        prop_assert!(read.check_smiles(SMILES[which]).is_ok());
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]<>CON0-9.,=()/-]{0,40}|.{0,20}") {
        let _ = EnrichedText::parse(&text);
        let _ = Skeleton::new(&text, None);
        let _ = text.parse::<NumberFormat>();
        let _ = Coordinate::parse(&text);
    }
}
