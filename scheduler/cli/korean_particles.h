// Korean particles change with the sound before them: 작업 9가, 작업 8이. Translations write both forms, 이(가); here
// the right one is chosen where the sound is known (Hangul and digits). Foreign words keep both.
#pragma once

#include <string>
#include <string_view>

namespace ultramarine::cli {

/// 은(는) 이(가) 을(를) 와(과) (으)로 by the sound before them; quotes and a remark in brackets in between are passed
/// over.
std::string with_particles(std::string_view text);

}  // namespace ultramarine::cli
