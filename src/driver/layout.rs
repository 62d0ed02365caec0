//! Where the elements of a strided array lie: which are neighbours in memory, and what lies ahead.

/// Where the elements of an array lie: shape and byte strides, neighbouring axes merged where one
/// stride serves both, so that a contiguous array has one axis.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    axes: Vec<(usize, isize)>,
    /// Elements in all.
    pub(super) len: usize,
}

impl Layout {
    pub(super) fn new(shape: &[usize], strides: &[isize]) -> Self {
        assert_eq!(shape.len(), strides.len());
        let len = shape.iter().product();
        let mut axes: Vec<(usize, isize)> = Vec::with_capacity(shape.len());
        for (&size, &stride) in shape.iter().zip(strides) {
            if size == 1 {
                continue;
            }
            match axes.last_mut() {
                Some(last) if last.1 == stride * size as isize => *last = (last.0 * size, stride),
                _ => axes.push((size, stride)),
            }
        }
        if axes.is_empty() {
            axes.push((len, 0));
        }
        Self { axes, len }
    }

    /// Call `visit(offset, stride, n)` for each run of evenly spaced elements in `start .. start + n`.
    #[inline]
    pub(super) fn runs(&self, start: usize, n: usize, mut visit: impl FnMut(isize, isize, usize)) {
        assert!(start + n <= self.len, "block beyond the end of the operand");
        let (inner, stride) = self.axes[self.axes.len() - 1];
        let mut position = start;
        let mut left = n;
        while left > 0 {
            let (row, column) = (position / inner, position % inner);
            let run = left.min(inner - column);
            let offset = self.row_offset(row) + column as isize * stride;
            visit(offset, stride, run);
            position += run;
            left -= run;
        }
    }

    /// The innermost run that an element is of, and its place there.
    #[inline]
    fn place(&self, start: usize) -> (usize, usize) {
        // Divisions take longer than all the rest.
        if let [_] = self.axes[..] {
            return (0, start);
        }
        let inner = self.axes[self.axes.len() - 1].0.max(1);
        (start / inner, start % inner)
    }

    /// Byte offset of the first element of the `row`-th innermost run.
    #[inline]
    fn row_offset(&self, row: usize) -> isize {
        let mut rest = row;
        let mut offset = 0;
        for &(size, stride) in self.axes[..self.axes.len() - 1].iter().rev() {
            offset += (rest % size) as isize * stride;
            rest /= size;
        }
        offset
    }

    /// Byte offset of the first element of row `first`, and bytes from it to the next row's and to the next
    /// element of the row, if that is so for `rows` rows of `columns` elements.
    #[inline]
    pub(super) fn grid(
        &self,
        first: usize,
        rows: usize,
        columns: usize,
    ) -> Option<(isize, [isize; 2])> {
        let (inner, stride) = self.axes[self.axes.len() - 1];
        if inner != columns {
            // Rows that follow each other, or a part of a longer run.
            let (row, column) = self.place(first * columns);
            let inside = column + rows * columns <= inner;
            let offset = self.row_offset(row) + column as isize * stride;
            return inside.then_some((offset, [columns as isize * stride, stride]));
        }
        let (size, between) = match self.axes[..] {
            [.., outer, _] => outer,
            _ => (1, 0),
        };
        (first % size + rows <= size).then(|| (self.row_offset(first), [between, stride]))
    }

    /// Byte offset of `start`, if the `n` elements from there on lie `size` bytes apart.
    #[inline]
    pub(super) fn contiguous(&self, start: usize, n: usize, size: usize) -> Option<isize> {
        let (inner, stride) = self.axes[self.axes.len() - 1];
        let (row, column) = self.place(start);
        let inside = column + n <= inner;
        (inside && (stride == size as isize || n <= 1))
            .then(|| self.row_offset(row) + column as isize * stride)
    }

    /// How many elements lie `size` bytes apart from `start` on.
    #[inline]
    pub(super) fn run(&self, start: usize, size: usize) -> usize {
        match self.axes[self.axes.len() - 1] {
            (inner, stride) if stride == size as isize => inner - start % inner.max(1),
            _ => 0,
        }
    }

    /// The `n` elements of `size` bytes from `start` on, if they lie one after the other.
    #[inline]
    pub(super) fn ahead(
        &self,
        data: *const u8,
        size: usize,
        (start, n): (usize, usize),
    ) -> Option<Ahead> {
        let offset = self.contiguous(start, n, size)?;
        let address = data.wrapping_offset(offset);
        Some(Ahead { address, size })
    }
}

/// Elements that lie one after the other, of whatever type: to be asked for from memory, not to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    address: *const u8,
    size: usize,
}

impl Ahead {
    /// The elements from an address on.
    #[inline(always)]
    pub(crate) fn of<T>(first: *const T) -> Self {
        Self {
            address: first.cast(),
            size: size_of::<T>(),
        }
    }

    /// Those after the first `n`.
    #[inline(always)]
    pub(crate) fn after(self, n: usize) -> Self {
        Self {
            address: self.address.wrapping_add(n * self.size),
            ..self
        }
    }

    /// The `i`-th of as many parts as there are rows of `columns` `T`s, in steps of their bytes; nothing new once all
    /// elements have been named, which takes fewer steps if they are smaller.
    #[inline(always)]
    pub(crate) fn part<T>(self, i: usize, rows: usize, columns: usize) -> *const u8 {
        let begun = i * size_of::<T>() < rows * self.size;
        self.address.wrapping_add(if begun {
            i * columns * size_of::<T>()
        } else {
            0
        })
    }
}
