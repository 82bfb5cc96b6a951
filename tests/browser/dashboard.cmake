# The web page in Debian's Chromium; skipped with the reason where the page was not built or there is no browser.
add_test(NAME browser_page COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/browser/page_test.py)
set_tests_properties(browser_page PROPERTIES LABELS browser TIMEOUT 1200 SKIP_RETURN_CODE 77 ENVIRONMENT ULTRAMARINE_BIN=${CMAKE_BINARY_DIR}/bin)
# How it is built where there is no network.
add_test(NAME browser_build COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/browser/build_test.py)
set_tests_properties(browser_build PROPERTIES LABELS browser TIMEOUT 300 SKIP_RETURN_CODE 77)
