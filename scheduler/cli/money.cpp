#include "scheduler/cli/money.h"

#include <cstdlib>

#include "scheduler/cli/language.h"
#include "scheduler/cli/terminal.h"

namespace ultramarine::cli {

std::string grouped(std::int64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t place = text.size(); place > 3;) text.insert(place -= 3, ",");
  return text;
}

namespace {

/// `parts` of 10^digits, rounded to `shown` digits (halves away from nothing), with commas between thousands.
std::string shown_with(std::int64_t parts, int digits, int shown) {
  std::int64_t unit = 1, whole = 1;
  for (int i = shown; i < digits; ++i) unit *= 10;
  for (int i = 0; i < shown; ++i) whole *= 10;
  const std::int64_t rounded = (std::abs(parts) + unit / 2) / unit;
  std::string text = (parts < 0 && rounded > 0 ? "-" : "") + grouped(rounded / whole);
  if (shown > 0) text += "." + std::to_string(whole + rounded % whole).substr(1);
  return text;
}

}  // namespace

std::string amount(std::int64_t milli) {
  constexpr std::int64_t thousand = 1'000'000, hundredth = 10;
  if (std::abs(milli) >= thousand) return shown_with(milli, 3, 0);
  return shown_with(milli, 3, milli != 0 && std::abs(milli) < hundredth ? 3 : 2);
}

std::string amount(std::int64_t milli, const std::string& currency) { return amount(milli) + " " + printable(currency); }

std::string gpu_hours(std::int64_t gpu_ms) {
  constexpr std::int64_t ms_per_hour = 3'600'000;
  // In thousandths of an hour, to the nearest one.
  const std::int64_t thousandths = (gpu_ms + ms_per_hour / 2000) / (ms_per_hour / 1000);
  return shown_with(thousandths, 3, thousandths >= 100'000 ? 1 : 2);
}

std::string decimal(std::int64_t parts, int digits) {
  std::int64_t unit = 1;
  for (int i = 0; i < digits; ++i) unit *= 10;
  return (parts < 0 ? "-" : "") + std::to_string(std::abs(parts) / unit) + "." + std::to_string(unit + std::abs(parts) % unit).substr(1);
}

std::string price_sentence(const protocol::JobPrice& price) {
  if (price.currency.empty()) return "";
  const bool is_ours = price.price_per_gpu_hour_milli > 0, is_cloud = price.cloud_price_per_gpu_hour_milli > 0;
  const std::string hours = gpu_hours(price.ended ? price.held_gpu_ms : price.at_most_gpu_ms);
  const std::string ours = amount(price.ended ? price.cost_milli : price.at_most_milli, price.currency);
  const std::string cloud = amount(price.ended ? price.cloud_milli : price.at_most_cloud_milli, price.currency);
  if (price.ended)
    return is_ours && is_cloud ? spoken("It held {0} GPU-hours, which cost {1}; the cloud would ask {2}.", hours, ours, cloud)
           : is_ours           ? spoken("It held {0} GPU-hours, which cost {1}.", hours, ours)
                               : spoken("It held {0} GPU-hours; the cloud would ask {1}.", hours, cloud);
  return is_ours && is_cloud ? spoken("It costs at most {1}, for {0} GPU-hours; the cloud would ask {2}.", hours, ours, cloud)
         : is_ours           ? spoken("It costs at most {1}, for {0} GPU-hours.", hours, ours)
                             : spoken("For {0} GPU-hours at most, the cloud would ask {1}.", hours, cloud);
}

std::string price_sentence(Client& client, const JobName& job) {
  try {
    return price_sentence(client.price(job).value);
  } catch (const CommandError&) {
    return "";
  }
}

}  // namespace ultramarine::cli
