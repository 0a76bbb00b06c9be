use tplc::corpus::Smiles;

use crate::golden;

#[test]
fn malformed_smiles_say_what_and_where() {
    let faults: Vec<String> = [
        "", "C(", "C)", "C(C", "C()", "C1CC", "C11", "CC=", "=C", "C==C", "[C", "[Xx]", "[]", "C%1", "Cé",
        "C.", "C C", "(C)C", "[C@@H", "[CH4:]", "C((C))",
    ]
    .iter()
    .map(|text| Smiles::parse(text).unwrap_err().to_string())
    .collect();
    golden::check("corpus", "malformed_smiles", faults.join("\n"));
}
