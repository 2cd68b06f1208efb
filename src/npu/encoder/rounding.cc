// SPDX-License-Identifier: MIT
#include "npu/encoder/rounding.h"

#include <openssl/evp.h>
#include <zlib.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "npu/encoder/calibration.h"
#include "npu/encoder/pack.h"

namespace sotto::npu {
namespace {

using Floats =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Doubles = Eigen::MatrixXd;

// What is left of the moments between channels: forty windows hold less than
// they seem to, since neighbouring rows say the same. On base and on speech
// that was not calibrated on, the error is 0.5 to 0.7 of the nearest's with 0.6
// to 0.8, and up to 1.1 with all of them.
constexpr double kTrust = 0.8;
// Of the moments' mean diagonal, added to it: channels that were always zero.
constexpr double kDamp = 0.001;
// Columns whose errors the columns after them take up at once.
constexpr int kColumnBlock = 128;
// Rows that are rounded as one task.
constexpr int kRowBlock = 64;
// More than any Whisper's matrix has.
constexpr int64_t kMostWeights = int64_t{1} << 28;
// What few codes that differ by one, of a computer whose logarithms end in
// another bit, may add to a signature; other weights make it thousands.
constexpr int64_t kSignatureSlack = 100;

// U, upper triangular, with H^-1 = U^T U. H = R R^T where R is upper
// triangular: the Cholesky factor of H with its order turned round, turned back
// again; U is its inverse.
Floats InverseFactor(std::span<const float> moments,
                     std::span<const float> steps) {
  const auto k = static_cast<Eigen::Index>(steps.size());
  Doubles turned(k, k);
  for (Eigen::Index i = 0; i < k; ++i)
    for (Eigen::Index j = 0; j <= i; ++j) {
      const double value = (i == j ? 1 : kTrust) *
                           moments[static_cast<size_t>(i * k + j)] /
                           (double{steps[static_cast<size_t>(i)]} *
                            steps[static_cast<size_t>(j)]);
      turned(k - 1 - i, k - 1 - j) = value;
      turned(k - 1 - j, k - 1 - i) = value;
    }
  const double mean = turned.diagonal().mean();
  turned.diagonal().array() += mean > 0 ? kDamp * mean : 1.0;
  const Eigen::LLT<Doubles> factor(turned);
  SOTTO_CHECK(factor.info() == Eigen::Success);
  const Doubles lower = factor.matrixL();
  const Doubles upper = lower.reverse();
  const Doubles inverse =
      upper.triangularView<Eigen::Upper>().solve(Doubles::Identity(k, k));
  return inverse.cast<float>();
}

// Rounds rows [from, from + codes.rows()): a column after the other, and what
// it is wrong by goes over to those that are still to come.
void RoundRows(const Floats& factor, Floats codes, int64_t from,
               const Unrounded& matrix, int8_t* offsets) {
  const Eigen::Index k = codes.cols();
  for (Eigen::Index begin = 0; begin < k; begin += kColumnBlock) {
    const Eigen::Index end = std::min<Eigen::Index>(k, begin + kColumnBlock);
    Floats errors(codes.rows(), end - begin);
    for (Eigen::Index j = begin; j < end; ++j) {
      const float over = 1 / factor(j, j);
      for (Eigen::Index i = 0; i < codes.rows(); ++i) {
        const float code =
            std::clamp(std::nearbyint(codes(i, j)), -127.0F, 127.0F);
        const int64_t at = (from + i) * k + j;
        offsets[at] = static_cast<int8_t>(std::clamp(
            static_cast<int>(code) - matrix.Nearest(static_cast<size_t>(at)),
            -127, 127));
        errors(i, j - begin) = (codes(i, j) - code) * over;
      }
      const Eigen::Index left = end - j - 1;
      codes.middleCols(j + 1, left).noalias() -=
          errors.col(j - begin) * factor.row(j).segment(j + 1, left);
    }
    codes.rightCols(k - end).noalias() -=
        errors * factor.block(begin, end, end - begin, k - end);
  }
}

}  // namespace

std::string Rounding::OffsetsText() const {
  auto size = compressBound(static_cast<uLong>(offsets.size()));
  std::vector<unsigned char> packed(size);
  const int status = compress2(
      packed.data(), &size, reinterpret_cast<const Bytef*>(offsets.data()),
      static_cast<uLong>(offsets.size()), Z_DEFAULT_COMPRESSION);
  if (status != Z_OK)
    Fail(ErrorCode::kOutOfMemory, "zlib: cannot compress {} bytes",
         offsets.size());
  std::string text((size + 2) / 3 * 4 + 1, '\0');  // and a terminator
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      packed.data(), static_cast<int>(size));
  text.resize(static_cast<size_t>(length));
  return text;
}

void Rounding::ReadOffsets(std::string_view text, const std::string& where) {
  const int64_t count = int64_t{rows} * columns;
  if (rows < 1 || columns < 1 || count > kMostWeights)
    Fail(ErrorCode::kBadInput, "{}: a matrix of {} x {}", where, rows, columns);
  // No more than zlib can make of so much text: a short one claims nothing.
  if (count / 1100 > static_cast<int64_t>(text.size()) ||
      text.size() % 4 != 0 || text.empty())
    Fail(ErrorCode::kBadInput, "{}: {} characters are no {} x {} offsets",
         where, text.size(), rows, columns);
  std::vector<unsigned char> packed(text.size() / 4 * 3);
  const int length = EVP_DecodeBlock(
      packed.data(), reinterpret_cast<const unsigned char*>(text.data()),
      static_cast<int>(text.size()));
  if (length < 0) Fail(ErrorCode::kBadInput, "{}: no base64", where);
  offsets.resize(static_cast<size_t>(count));
  auto size = static_cast<uLongf>(count);
  const int status = uncompress(reinterpret_cast<Bytef*>(offsets.data()), &size,
                                packed.data(), static_cast<uLong>(length));
  if (status != Z_OK || size != static_cast<uLongf>(count))
    Fail(ErrorCode::kBadInput, "{}: want {} x {} offsets", where, rows,
         columns);
}

std::array<int64_t, 4> SignatureOf(std::span<const int8_t> nearest) {
  std::array<int64_t, 4> sums{};
  uint32_t signs = 1;
  for (const int8_t code : nearest) {
    signs = signs * 1664525 + 1013904223;  // Numerical Recipes' generator
    for (size_t s = 0; s < sums.size(); ++s)
      sums[s] += (signs >> (28 + s) & 1) != 0 ? code : -code;
  }
  return sums;
}

bool SameCodes(const std::array<int64_t, 4>& a,
               const std::array<int64_t, 4>& b) {
  for (size_t s = 0; s < a.size(); ++s)
    if (std::abs(a[s] - b[s]) > kSignatureSlack) return false;
  return true;
}

void Moments::See(std::string_view site, std::span<const float> values,
                  size_t channels, ThreadPool& pool) {
  SOTTO_CHECK(channels > 0 && values.size() % channels == 0);
  auto at = sums_.find(site);
  if (at == sums_.end())
    at = sums_.emplace(site, std::vector<float>(channels * channels)).first;
  SOTTO_CHECK(at->second.size() == channels * channels);
  const auto k = static_cast<Eigen::Index>(channels);
  const Eigen::Map<const Floats> rows(
      values.data(), static_cast<Eigen::Index>(values.size()) / k, k);
  Eigen::Map<Floats> sums(at->second.data(), k, k);
  // From the longest: the last ones fill the gaps between threads.
  const int64_t tasks = (k + kColumnBlock - 1) / kColumnBlock;
  pool.ParallelFor(tasks, [&](int64_t task, int) {
    const Eigen::Index begin = (tasks - 1 - task) * kColumnBlock;
    const Eigen::Index end = std::min<Eigen::Index>(k, begin + kColumnBlock);
    sums.block(begin, 0, end - begin, end).noalias() +=
        rows.middleCols(begin, end - begin).transpose() * rows.leftCols(end);
  });
}

std::span<const float> Moments::Of(std::string_view site) const {
  const auto at = sums_.find(site);
  return at == sums_.end() ? std::span<const float>() : at->second;
}

int8_t Unrounded::Nearest(size_t at) const {
  return static_cast<int8_t>(
      std::clamp(std::nearbyint(codes[at]), -127.0F, 127.0F));
}

Rounding RoundTogether(const Unrounded& matrix, std::span<const float> moments,
                       ThreadPool& pool) {
  const size_t k = matrix.steps.size();
  SOTTO_CHECK(moments.size() == k * k);
  Rounding made{matrix.rows, matrix.columns, {}, {}};
  made.offsets.resize(matrix.codes.size());
  std::vector<int8_t> nearest(matrix.codes.size());
  for (size_t i = 0; i < nearest.size(); ++i) nearest[i] = matrix.Nearest(i);
  made.signature = SignatureOf(nearest);
  const Floats factor = InverseFactor(moments, matrix.steps);
  const Eigen::Map<const Floats> codes(matrix.codes.data(), matrix.rows,
                                       matrix.columns);
  pool.ParallelFor(
      (matrix.rows + kRowBlock - 1) / kRowBlock, [&](int64_t task, int) {
        const int64_t from = task * kRowBlock;
        const int64_t rows = std::min<int64_t>(kRowBlock, matrix.rows - from);
        RoundRows(factor, codes.middleRows(from, rows), from, matrix,
                  made.offsets.data());
      });
  return made;
}

void FindRoundings(const EncoderShape& shape, const WeightReader& weights,
                   const Moments& moments, ThreadPool& pool,
                   FunctionRef<void(int, int)> done, Calibration* calibration) {
  calibration->roundings.clear();
  std::map<std::string, Rounding, std::less<>> found;
  int count = 0;
  const int all = 1 + 4 * shape.layers;
  VisitUnrounded(shape, weights, *calibration, [&](const Unrounded& matrix) {
    const auto seen = moments.Of(matrix.site);
    if (!seen.empty())
      found.emplace(matrix.name, RoundTogether(matrix, seen, pool));
    done(++count, all);
  });
  calibration->roundings = std::move(found);
}

}  // namespace sotto::npu
