//! What a suite shows beside its figures: tables, plots and bars. Data only; `report` draws them.

use std::collections::BTreeMap;

/// A table: a title, a header, and rows of as many cells as the header has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The names of the columns; the first column names the rows.
    pub header: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new<const N: usize>(title: impl Into<String>, header: [&str; N]) -> Self {
        Table {
            title: title.into(),
            header: header.into_iter().map(str::to_owned).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.header.len(), "{}", self.title);
        self.rows.push(cells.into());
    }

    /// Whether column `index` holds numbers alone, or a dash where there is none: such a column is set to the right.
    pub fn is_numeric(&self, index: usize) -> bool {
        let number = |cell: &String| cell == NONE || cell.replace(',', "").parse::<f64>().is_ok();
        let cells = || self.rows.iter().filter_map(|row| row.get(index));
        index > 0 && cells().next().is_some() && cells().all(number)
    }
}

/// Stands for a number that is not there.
pub const NONE: &str = "–";

/// A number for a cell; [`NONE`] for one that is not finite.
pub fn cell(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { NONE.into() }
}

/// Pairs whose stated probability lies in one range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Pairs.
    pub n: usize,
    /// The mean of what was stated, in [0, 1].
    pub stated: f64,
    /// The share that came true, in [0, 1].
    pub came_true: f64,
}

/// What a plot draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawing {
    /// Stated probability against the share that came true: bins of equal width over [0, 1], in their order.
    Reliability(Vec<Bin>),
    /// A ROC curve: (share of false alarms, share found), ascending from (0, 0) to (1, 1), and the area under it.
    Roc {
        /// The points.
        points: Vec<(f64, f64)>,
        /// The area, in [0, 1].
        area: f64,
    },
    /// How the values of several groups lie, each in bars of equal width over `low..=high`.
    Histograms {
        /// What is counted.
        x: &'static str,
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
        /// A name and the counts of its bars, as many in each group.
        groups: Vec<(String, Vec<usize>)>,
    },
    /// Lines through points that ascend in x.
    Lines {
        /// Along the horizontal axis.
        x: String,
        /// Along the vertical axis.
        y: String,
        /// A name and its points.
        lines: Vec<(String, Vec<(f64, f64)>)>,
    },
}

/// A plot with its title.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What is drawn.
    pub drawing: Drawing,
}

/// Bins of a reliability diagram, as many as the calibration error is taken over.
const BINS: usize = 10;
/// Points of a curve that are kept; a drawing of some 300 units shows no more.
const MOST_POINTS: usize = 200;
/// Bars of a histogram: 0.05 wide for a reward in [0, 1].
const BARS: usize = 20;
/// Rows of a table that stands for a curve.
const CURVE_ROWS: usize = 10;

impl Plot {
    /// The reliability of `probabilities` in 10 bins; `labels` say what came true.
    pub fn reliability(title: impl Into<String>, probabilities: &[f64], labels: &[bool]) -> Self {
        let mut bins = [(0, 0.0, 0); BINS];
        for (&stated, &came) in probabilities.iter().zip(labels) {
            let bin = &mut bins[((stated * BINS as f64) as usize).min(BINS - 1)];
            *bin = (bin.0 + 1, bin.1 + stated, bin.2 + usize::from(came));
        }
        let share = |(n, stated, came): (usize, f64, usize)| {
            let all = n.max(1) as f64;
            Bin { n, stated: stated / all, came_true: came as f64 / all }
        };
        Plot { title: title.into(), drawing: Drawing::Reliability(bins.map(share).to_vec()) }
    }

    /// The ROC curve of `scores`; `labels` say which should be high. `None` where either label is missing.
    pub fn roc(title: impl Into<String>, scores: &[f64], labels: &[bool]) -> Option<Self> {
        let positives = labels.iter().filter(|label| **label).count();
        let negatives = labels.len() - positives;
        if positives == 0 || negatives == 0 {
            return None;
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let mut points = vec![(0.0, 0.0)];
        let (mut found, mut alarms) = (0, 0);
        for ties in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
            let up = ties.iter().filter(|&&at| labels[at]).count();
            (found, alarms) = (found + up, alarms + ties.len() - up);
            points.push((alarms as f64 / negatives as f64, found as f64 / positives as f64));
        }
        let area = points.windows(2).map(|p| (p[1].0 - p[0].0) * (p[0].1 + p[1].1) / 2.0).sum();
        Some(Plot { title: title.into(), drawing: Drawing::Roc { points: thin(&points), area } })
    }

    /// How the values of each group lie over `low..=high`; what lies outside goes to the nearest bar.
    pub fn histograms(
        title: impl Into<String>,
        x: &'static str,
        (low, high): (f64, f64),
        groups: &[(&str, Vec<f64>)],
    ) -> Self {
        let bars = |values: &[f64]| {
            let mut bars = vec![0; BARS];
            for value in values {
                let at = ((value - low) / (high - low) * BARS as f64).max(0.0) as usize;
                bars[at.min(BARS - 1)] += 1;
            }
            bars
        };
        let groups = groups.iter().map(|(name, values)| ((*name).to_owned(), bars(values))).collect();
        Plot { title: title.into(), drawing: Drawing::Histograms { x, low, high, groups } }
    }

    /// Lines; long ones lose points between their ends.
    pub fn lines(
        title: impl Into<String>,
        x: impl Into<String>,
        y: impl Into<String>,
        lines: Vec<(String, Vec<(f64, f64)>)>,
    ) -> Self {
        let lines = lines.into_iter().map(|(name, points)| (name, thin(&points))).collect();
        Plot { title: title.into(), drawing: Drawing::Lines { x: x.into(), y: y.into(), lines } }
    }

    /// The same in figures.
    pub fn table(&self) -> Table {
        match &self.drawing {
            Drawing::Reliability(bins) => {
                let mut table = Table::new(self.title.clone(), ["bin", "n", "stated", "came true"]);
                for (at, bin) in bins.iter().enumerate() {
                    let [low, high] = [at, at + 1].map(|edge| edge as f64 / bins.len() as f64);
                    let there = |value: f64| cell(if bin.n > 0 { value } else { f64::NAN }, 3);
                    table.row([
                        format!("{low:.1}–{high:.1}"),
                        bin.n.to_string(),
                        there(bin.stated),
                        there(bin.came_true),
                    ]);
                }
                table
            }
            Drawing::Roc { points, area } => {
                let title = format!("{}, area {}", self.title, cell(*area, 4));
                let mut table = Table::new(title, ["false alarms", "found"]);
                for point in some_of(points) {
                    table.row([cell(point.0, 3), cell(point.1, 3)]);
                }
                table
            }
            Drawing::Histograms { x, low, high, groups } => {
                let mut table = Table::new(self.title.clone(), [*x]);
                table.header.extend(groups.iter().map(|(name, _)| name.clone()));
                let bars = groups.first().map_or(0, |(_, counts)| counts.len());
                for at in 0..bars {
                    let edge = |at: usize| low + (high - low) * at as f64 / bars as f64;
                    let mut row = vec![format!("{:.2}–{:.2}", edge(at), edge(at + 1))];
                    row.extend(groups.iter().map(|(_, counts)| counts[at].to_string()));
                    table.rows.push(row);
                }
                table
            }
            Drawing::Lines { x, y, lines } => {
                let mut table = Table::new(self.title.clone(), ["line", x, y]);
                for (name, points) in lines {
                    for point in some_of(points) {
                        table.row([name.clone(), cell(point.0, 3), cell(point.1, 3)]);
                    }
                }
                table
            }
        }
    }
}

/// At most [`MOST_POINTS`], the first and the last among them.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    spread(points, MOST_POINTS).collect()
}

/// A few, for a table.
fn some_of(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    spread(points, CURVE_ROWS)
}

fn spread(points: &[(f64, f64)], most: usize) -> impl Iterator<Item = (f64, f64)> + '_ {
    let n = points.len().min(most);
    (0..n).map(move |at| points[if n > 1 { at * (points.len() - 1) / (n - 1) } else { 0 }])
}

/// On which side of a bar a figure has to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Not below it.
    AtLeast,
    /// Not above it.
    AtMost,
}

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The figure's name.
    pub figure: &'static str,
    /// On which side.
    pub direction: Direction,
    /// Of what.
    pub value: f64,
}

/// What the rounding of a mean of some thousand numbers may take: `worst_mean_gain <= 0` is met by 1e-17.
const ROUNDING: f64 = 1e-9;

impl Bar {
    /// The figure has to be at least `value`.
    pub const fn at_least(figure: &'static str, value: f64) -> Self {
        Bar { figure, direction: Direction::AtLeast, value }
    }

    /// The figure may be at most `value`.
    pub const fn at_most(figure: &'static str, value: f64) -> Self {
        Bar { figure, direction: Direction::AtMost, value }
    }

    /// What was measured, and whether that meets the bar; `None` if it was not measured. NaN meets nothing.
    pub fn measured(&self, figures: &BTreeMap<String, f64>) -> Option<(f64, bool)> {
        let value = *figures.get(self.figure)?;
        let met = match self.direction {
            Direction::AtLeast => value >= self.value - ROUNDING,
            Direction::AtMost => value <= self.value + ROUNDING,
        };
        Some((value, met))
    }

    /// `auc ≥ 0.93`.
    pub fn words(&self) -> String {
        let sign = match self.direction {
            Direction::AtLeast => '≥',
            Direction::AtMost => '≤',
        };
        format!("{} {sign} {}", self.figure, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reliability_diagram_counts_what_came_true() {
        let plot = Plot::reliability("r", &[0.05, 0.15, 0.19, 1.0], &[false, true, false, true]);
        let Drawing::Reliability(bins) = &plot.drawing else { panic!("{plot:?}") };
        assert_eq!((bins.len(), bins[0].n, bins[1].n, bins[9].n), (10, 1, 2, 1));
        assert!((bins[1].stated - 0.17).abs() < 1e-12 && bins[1].came_true == 0.5);
        let table = plot.table();
        assert_eq!(table.rows[1], ["0.1–0.2", "2", "0.170", "0.500"]);
        assert_eq!(table.rows[2], ["0.2–0.3", "0", NONE, NONE]);
        assert!(table.is_numeric(1) && table.is_numeric(2) && !table.is_numeric(0));
    }

    #[test]
    fn the_area_under_a_curve_is_the_auc() {
        let scores = [0.9, 0.8, 0.8, 0.3, 0.1];
        let labels = [true, false, true, true, false];
        let plot = Plot::roc("r", &scores, &labels).expect("both labels");
        let Drawing::Roc { points, area } = &plot.drawing else { panic!("{plot:?}") };
        assert_eq!(points.first(), Some(&(0.0, 0.0)));
        assert_eq!(points.last(), Some(&(1.0, 1.0)));
        assert!((area - crate::judge::calibrate::auc(&scores, &labels)).abs() < 1e-12);
        assert!(Plot::roc("r", &scores, &[true; 5]).is_none());
    }

    #[test]
    fn long_lines_keep_their_ends() {
        let points: Vec<(f64, f64)> = (0..5000).map(|at| (f64::from(at), 1.0)).collect();
        let thinned = thin(&points);
        assert_eq!((thinned.len(), thinned[0].0, thinned[199].0), (200, 0.0, 4999.0));
        assert_eq!((thin(&points[..1]).len(), thin(&[]).len()), (1, 0));
    }

    #[test]
    fn values_fall_into_the_nearest_bar() {
        let plot = Plot::histograms("h", "reward", (0.0, 1.0), &[("right", vec![-1.0, 0.0, 0.52, 1.0, 7.0])]);
        let Drawing::Histograms { groups, .. } = &plot.drawing else { panic!("{plot:?}") };
        assert_eq!((groups[0].1[0], groups[0].1[10], groups[0].1[19]), (2, 1, 2));
        assert_eq!(plot.table().rows.len(), BARS);
    }

    #[test]
    fn a_bar_has_a_side() {
        let figures = BTreeMap::from([("a".to_owned(), 0.5), ("gone".to_owned(), f64::NAN)]);
        assert_eq!(Bar::at_least("a", 0.5).measured(&figures), Some((0.5, true)));
        assert_eq!(Bar::at_least("a", 0.6).measured(&figures), Some((0.5, false)));
        assert_eq!(Bar::at_most("a", 0.6).measured(&figures), Some((0.5, true)));
        assert_eq!(Bar::at_most("a", 0.4).measured(&figures), Some((0.5, false)));
        assert_eq!(Bar::at_most("b", 0.4).measured(&figures), None);
        assert!(Bar::at_most("gone", 1.0).measured(&figures).is_some_and(|(_, met)| !met));
        assert_eq!(Bar::at_least("auc", 0.93).words(), "auc ≥ 0.93");
    }
}
