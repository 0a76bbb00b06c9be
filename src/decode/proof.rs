//! Every output is judged twice: its ids by the matcher, and its text by an audit that knows nothing of the matcher.

use super::{DecodeError, Output, Runner, Subject};
use crate::{
    audit::Judgement,
    matcher::{Label, Matcher},
    primitives::TokenId,
};

/// What two judges found in one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The row.
    pub row: u64,
    /// What its text is, read and tokenized again.
    pub judgement: Judgement,
    /// Where the matcher refuses the ids, or that it is not finished behind the last.
    pub refused_at: Option<usize>,
    /// Places with a choice, among the tokens that the matcher takes.
    pub decisions: u64,
    /// Those of them that come straight behind a draft that was chosen.
    pub drafts: u64,
    /// Tokens by label, among those that the matcher takes.
    pub labels: Labels,
}

/// Tokens by what they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Labels {
    /// COPY text.
    pub copy: u64,
    /// FREE text without an alternative.
    pub forced: u64,
    /// FREE text that was chosen.
    pub decided: u64,
}

impl Finding {
    /// Whether the text is as it should be, by its bytes and by tokenizing them again.
    #[must_use]
    pub fn reads_well(&self) -> bool {
        self.judgement.is_valid()
    }

    /// Whether the matcher takes all ids and is finished behind them.
    #[must_use]
    pub fn replays(&self) -> bool {
        self.refused_at.is_none()
    }
}

impl Runner<'_> {
    /// Judges one output of a molecule.
    ///
    /// # Errors
    /// [`DecodeError::Template`] if the tables lack a literal.
    pub fn judge(&self, subject: &Subject, output: &Output) -> Result<Finding, DecodeError> {
        let judgement = self.auditor.judge_ids(Some(&subject.skeleton), &output.tokens);
        let (refused_at, labels) = (None, Labels::default());
        let mut finding = Finding { row: output.row, judgement, refused_at, decisions: 0, drafts: 0, labels };
        self.replay(subject, &output.tokens, &mut finding)?;
        Ok(finding)
    }

    fn replay(
        &self,
        subject: &Subject,
        tokens: &[TokenId],
        finding: &mut Finding,
    ) -> Result<(), DecodeError> {
        let mut matcher = Matcher::new(self.template(subject)?);
        let (draft, mut drafted) = (self.draft(), false);
        for (place, &token) in tokens.iter().enumerate() {
            let decided = matcher.mask_row().len() > 1;
            finding.drafts += u64::from(decided && drafted);
            // What is chosen first of all has nothing before it to be drafted behind.
            drafted = decided && finding.decisions > 0 && draft == Some(token);
            finding.decisions += u64::from(decided);
            match matcher.advance(token) {
                Ok(Label::Copy) => finding.labels.copy += 1,
                Ok(Label::Forced) => finding.labels.forced += 1,
                Ok(Label::Decided) => finding.labels.decided += 1,
                Err(_) => {
                    finding.refused_at = Some(place);
                    return Ok(());
                }
            }
        }
        finding.refused_at = (!matcher.is_finished()).then_some(tokens.len());
        Ok(())
    }
}
