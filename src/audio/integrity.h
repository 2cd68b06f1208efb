// SPDX-License-Identifier: MIT
// Whether all of the sound came: libav reads a file that was cut off or hurt
// as far as it goes and mostly says nothing. This watches it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "audio/av.h"
#include "audio/source.h"

namespace sotto::av {

// One stream of one file, told of everything that happens to it. One thread.
class Integrity {
 public:
  // Directly after the container was opened, before libav estimates lengths.
  Integrity(const Source& source, const AVFormatContext& container);

  void ChooseStream(const AVStream& stream);
  // `log` is what libav logged as an error in this call, empty for nothing.
  void OnPacket(const AVPacket& packet, std::string_view log);
  void OnReadError(std::string_view cause, std::string_view log);
  // The decoder refused the last packet.
  void OnDecodeError(std::string_view cause);
  void OnFrame(const AVFrame& frame);
  // All packets and frames have been seen.
  void OnEnd();

  // The first damage as one line; empty where there is none so far.
  const std::string& damage() const { return damage_; }

 private:
  void Damaged(std::string_view cause);
  // Says more than a decoder's complaint about the last packet, and replaces
  // it; damage far from the end stays.
  void CutOff(std::string_view detail);
  double seconds() const;
  void CheckDemuxerLog(std::string_view log);
  // The length that the container declares, against what was decoded.
  void CheckLength();
  void CheckWavSize();
  void CheckLastOggPage();
  void CheckLastFrame();

  const Source& source_;
  std::string demuxer_;
  std::vector<double> declared_s_;  // per stream; 0 is unknown
  double declared_ = 0;             // of the chosen stream
  int codec_ = 0;                   // AVCodecID
  int rate_ = 0;
  int64_t decoded_ = 0;  // samples at rate_
  Owner<AVPacket> last_;
  std::string read_error_;
  std::string junk_;  // an undecodable packet that is none of the codec's
  std::string damage_;
  double damaged_at_ = 0;
};

}  // namespace sotto::av
