//! Products of matrices in slices.

use gemm::Parallelism;

use super::bf16::{self, How, Packed, Side, Source, Unit};

/// A matrix in a slice, by rows or, transposed, by columns.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    shape: Strided,
}

/// A matrix to write into.
pub struct MatrixMut<'a> {
    data: &'a mut [f32],
    shape: Strided,
}

/// Rows, columns, and how many numbers lie between neighbours in either direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Strided {
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Strided {
    fn by_rows(rows: usize, columns: usize, row_stride: usize) -> Self {
        Strided { rows, columns, row_stride, column_stride: 1 }
    }

    /// Numbers that a slice must have.
    fn extent(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1)
            .checked_mul(self.row_stride)
            .and_then(|rows| rows.checked_add((self.columns - 1).checked_mul(self.column_stride)?))
            .and_then(|last| last.checked_add(1))
            .expect("a matrix that fits into memory")
    }
}

impl<'a> Matrix<'a> {
    /// `rows` rows of `columns` numbers, one behind the other.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that begin `row_stride` numbers apart: columns of a wider matrix. Panics if the slice is too short.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let shape = Strided::by_rows(rows, columns, row_stride);
        assert!(shape.extent() <= data.len(), "a matrix of {rows} x {columns} in {} numbers", data.len());
        Matrix { data, shape }
    }

    /// Rows as columns.
    pub fn transposed(self) -> Self {
        let Strided { rows, columns, row_stride, column_stride } = self.shape;
        let shape =
            Strided { rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride };
        Matrix { shape, ..self }
    }

    /// As one side of a product of bf16.
    fn pack(&self, side: Side, on_all: bool) -> Packed {
        let Strided { rows, columns, row_stride, column_stride } = self.shape;
        let (rows, columns) = ((rows, row_stride), (columns, column_stride));
        let (outer, inner) = if side == Side::Left { (rows, columns) } else { (columns, rows) };
        Packed::new(Source::new(self.data, outer, inner), side, on_all)
    }
}

impl<'a> MatrixMut<'a> {
    /// `rows` rows of `columns` numbers, one behind the other.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that begin `row_stride` numbers apart. Panics if the slice is too short or rows overlap.
    pub fn strided(data: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let shape = Strided::by_rows(rows, columns, row_stride);
        assert!(shape.extent() <= data.len(), "a matrix of {rows} x {columns} in {} numbers", data.len());
        assert!(rows < 2 || columns <= row_stride, "rows that overlap");
        MatrixMut { data, shape }
    }
}

/// How numbers go into products. Sums are kept in `f32` either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bf16: eight bits instead of twenty-four, and much faster where the processor has a unit of matrices
    /// ([`Unit::Amx`]).
    Bf16,
}

/// The left side of products, ready for several of them.
pub struct Left<'a>(Kind<'a>);

enum Kind<'a> {
    /// As it is.
    Plain(Matrix<'a>),
    /// Rounded.
    Packed(Packed),
}

impl Precision {
    /// A left side, on all threads.
    pub fn left(self, a: Matrix<'_>) -> Left<'_> {
        match self {
            Precision::F32 => Left(Kind::Plain(a)),
            Precision::Bf16 => Left(Kind::Packed(a.pack(Side::Left, true))),
        }
    }

    /// Puts `scale` · `a` · `b` into `out`, on one thread.
    pub fn product(self, out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
        self.run(out, a, b, scale, false, false);
    }

    /// Adds `scale` · `a` · `b` to `out`, on one thread.
    pub fn add_product(self, out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
        self.run(out, a, b, scale, true, false);
    }

    /// [`Self::product`] on all threads.
    pub fn product_on_all(self, out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
        self.run(out, a, b, scale, false, true);
    }

    /// [`Self::add_product`] on all threads.
    pub fn add_product_on_all(self, out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32) {
        self.run(out, a, b, scale, true, true);
    }

    fn run(self, out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32, add: bool, on_all: bool) {
        let left = match self {
            Precision::F32 => Left(Kind::Plain(a)),
            Precision::Bf16 => Left(Kind::Packed(a.pack(Side::Left, on_all))),
        };
        left.run((a.shape, 0), out, b, scale, add, on_all);
    }
}

impl Left<'_> {
    /// Puts `scale` times itself times `b` into `out`, or adds it, on all threads.
    pub fn times(&self, out: MatrixMut<'_>, b: Matrix<'_>, scale: f32, add: bool) {
        self.run((self.shape(), 0), out, b, scale, add, true);
    }

    /// The same of as many of its columns as `b` has rows, from column `from` on, a multiple of [`bf16::DEPTH`].
    pub fn times_from(&self, from: usize, out: MatrixMut<'_>, b: Matrix<'_>, scale: f32, add: bool) {
        let shape = self.shape();
        assert!(from + b.shape.rows <= shape.columns, "columns from {from} on of {shape:?}");
        self.run((Strided { columns: b.shape.rows, ..shape }, from), out, b, scale, add, true);
    }

    /// Whether its numbers are as they were.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.0, Kind::Plain(_))
    }

    /// Its rows.
    pub(super) fn rows(&self) -> usize {
        self.shape().rows
    }

    fn shape(&self) -> Strided {
        match &self.0 {
            Kind::Plain(a) => a.shape,
            // Only how many there are matters.
            Kind::Packed(packed) => Strided::by_rows(packed.outer(), packed.inner(), packed.inner()),
        }
    }

    fn run(
        &self,
        (shape, from): (Strided, usize),
        out: MatrixMut<'_>,
        b: Matrix<'_>,
        scale: f32,
        add: bool,
        on_all: bool,
    ) {
        let (to, right) = (out.shape, b.shape);
        assert!(
            shape.columns == right.rows && to.rows == shape.rows && to.columns == right.columns,
            "{shape:?} times {right:?} is not {to:?}"
        );
        if to.rows == 0 || to.columns == 0 {
            return;
        }
        match &self.0 {
            Kind::Plain(a) => {
                // `from` and `columns` lie within the matrix, so that what they reach lies in its slice.
                let a = Matrix { data: &a.data[from * shape.column_stride..], shape };
                run(out, a, b, scale, add, if on_all { threads() } else { Parallelism::None });
            }
            Kind::Packed(packed) => {
                let how = How { scale, add, on_all, unit: Unit::best() };
                bf16::product(out.data, to.row_stride, (packed, from), &b.pack(Side::Right, on_all), how);
            }
        }
    }
}

fn threads() -> Parallelism {
    match rayon::current_num_threads() {
        0 | 1 => Parallelism::None,
        more => Parallelism::Rayon(more),
    }
}

#[allow(unsafe_code)]
fn run(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32, add: bool, parallelism: Parallelism) {
    let (to, left, right) = (out.shape, a.shape, b.shape);
    let stride = |stride: usize| isize::try_from(stride).expect("a stride that fits into memory");
    // SAFETY: the constructors (and `Left::run`, of a part) have seen to it that every number that `rows`, `columns` and the
    // strides reach lies in its slice, and the caller that the sizes go together; the rows of `out` do not overlap, and as it
    // is borrowed mutably, neither do `out` and the others.
    unsafe {
        gemm::gemm(
            to.rows,
            to.columns,
            left.columns,
            out.data.as_mut_ptr(),
            stride(to.column_stride),
            stride(to.row_stride),
            add,
            a.data.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            b.data.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn products_are_those_of_the_obvious_loops() {
        for (rows, inner, columns) in [(1, 1, 1), (3, 5, 2), (64, 33, 17), (1, 40, 9), (7, 0, 3), (70, 64, 1)]
        {
            let (a, b) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
            let mut expected = vec![0.0f64; rows * columns];
            for row in 0..rows {
                for column in 0..columns {
                    for at in 0..inner {
                        expected[row * columns + column] +=
                            f64::from(a[row * inner + at]) * f64::from(b[at * columns + column]);
                    }
                }
            }
            let transposed: Vec<f32> =
                (0..inner * columns).map(|at| b[(at % inner.max(1)) * columns + at / inner.max(1)]).collect();
            let left = Matrix::new(&a, rows, inner);
            // Written between columns that must stay.
            let mut wide = vec![5.0; rows * (columns + 3)];
            let out = |wide: &mut [f32], add: bool, all: bool, precision: Precision| {
                let right = Matrix::new(&transposed, columns, inner).transposed();
                let out = MatrixMut::strided(wide, rows, columns, columns + 3);
                match (add, all) {
                    (false, false) => precision.product(out, left, right, 0.5),
                    (false, true) => precision.product_on_all(out, left, right, 0.5),
                    (true, false) => precision.add_product(out, left, right, 0.5),
                    (true, true) => precision.left(left).times(out, right, 0.5, true),
                }
            };
            for (all, precision) in [
                (false, Precision::F32),
                (true, Precision::F32),
                (false, Precision::Bf16),
                (true, Precision::Bf16),
            ] {
                let out = |wide: &mut [f32], add: bool, all: bool| out(wide, add, all, precision);
                let most = if precision == Precision::F32 { 1e-4 } else { 5e-2 };
                out(&mut wide, false, all);
                out(&mut wide, true, all);
                for row in 0..rows {
                    for column in 0..columns + 3 {
                        let found = wide[row * (columns + 3) + column];
                        let right = if column < columns { expected[row * columns + column] } else { 5.0 };
                        assert!(
                            (f64::from(found) - right).abs() < most,
                            "{rows} {inner} {columns}: {found} {right}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "in 5 numbers")]
    fn a_slice_that_is_too_short_is_refused() {
        Matrix::new(&[0.0; 5], 2, 3);
    }

    #[test]
    #[should_panic(expected = "is not")]
    fn shapes_that_do_not_go_together_are_refused() {
        Precision::F32.product(
            MatrixMut::new(&mut [0.0; 4], 2, 2),
            Matrix::new(&[0.0; 6], 2, 3),
            Matrix::new(&[0.0; 4], 2, 2),
            1.0,
        );
    }
}
