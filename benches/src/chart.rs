//! Line charts as SVG: a few series over a logarithmic axis, as the figures of `growth` need them.
//!
//! In come points; out comes text. Values start at zero, so that what looks flat is.

use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 56.0;
const COLORS: [&str; 3] = ["#0b6e99", "#c4552d", "#4f7942"];

/// Points with a name.
#[derive(Debug)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// A series without points.
    pub fn new(name: &str) -> Series {
        Series { name: name.to_owned(), points: Vec::new() }
    }

    /// Adds a point; `x` is above zero.
    pub fn push(&mut self, x: f64, y: f64) {
        self.points.push((x, y));
    }
}

/// A chart.
#[derive(Debug)]
pub struct Chart<'a> {
    /// Above it.
    pub title: &'a str,
    /// What the horizontal axis counts.
    pub x: &'a str,
    /// At most three.
    pub series: Vec<Series>,
}

impl Chart<'_> {
    /// The text of an SVG file.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let least = points().map(|(x, _)| *x).fold(f64::MAX, f64::min).log10();
        let most = points().map(|(x, _)| *x).fold(f64::MIN, f64::max).log10();
        let top = points().map(|(_, y)| *y).fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1.1;
        let across = |x: f64| {
            MARGIN + (x.log10() - least) / (most - least).max(f64::MIN_POSITIVE) * (WIDTH - 2.0 * MARGIN)
        };
        let up = |y: f64| HEIGHT - MARGIN - y / top * (HEIGHT - 2.0 * MARGIN);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
             <text x=\"{MARGIN}\" y=\"24\" font-size=\"15\">{}</text>\n",
            self.title
        );
        for step in 0..=4 {
            let value = top * f64::from(step) / 4.0;
            let (left, right, y) = (MARGIN, WIDTH - MARGIN, up(value));
            writeln!(
                svg,
                "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>",
                left - 6.0,
                y + 4.0
            )
            .expect("text can be written to");
        }
        for (number, series) in self.series.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            let line: Vec<String> =
                series.points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"{color}\">{}</text>",
                line.join(" "),
                MARGIN + 180.0 * number as f64,
                HEIGHT - 12.0,
                series.name
            )
            .expect("text can be written to");
            for (x, y) in &series.points {
                writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{color}\"/>",
                    across(*x),
                    up(*y)
                )
                .expect("text can be written to");
            }
        }
        if let Some(series) = self.series.first() {
            for (x, _) in &series.points {
                writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{x} {}</text>",
                    across(*x),
                    HEIGHT - MARGIN + 18.0,
                    self.x
                )
                .expect("text can be written to");
            }
        }
        svg + "</svg>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_every_point_and_is_well_formed() {
        let mut series = Series::new("CPU s");
        [(10.0, 1.0), (100.0, 2.0), (1000.0, 0.0)].iter().for_each(|(x, y)| series.push(*x, *y));
        let svg = Chart { title: "t", x: "MB", series: vec![series, Series::new("none")] }.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("points=\"56.0,169.5 320.0,74.9 584.0,264.0\""), "{svg}");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }
}
