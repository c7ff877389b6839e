# The tests of the unit suites that need KVM, where the host's cannot be used: one statement for each test.
# ./test leaves this case out where it has run them on the host.
# tier: core
# seconds: 380
# covers: vmm devices.def acpi.def generators tests/Guest.Tests tests/Cli.Tests tests/MicroVm.Tests tests/Shared tests/guests
source "$(dirname "$0")/../case.sh"

repository=$(realpath "$lab/../..")
suites=(Guest Cli MicroVm)
runtime=$(dirname "$(realpath "$(command -v dotnet)")")
version=$(dotnet --list-runtimes | sed -n 's/^Microsoft\.NETCore\.App \(10\.[^ ]*\) .*/\1/p' | tail -n 1)

# One folder for all three: most of what they have is the same.
mkdir -p "$folder/repository/tests"/{suites,guests} "$folder/repository/artifacts"
for suite in "${suites[@]}"; do
    built=$repository/tests/$suite.Tests/bin/Release/net10.0
    [[ -f $built/$suite.Tests.dll ]] ||
        dotnet build "$repository/tests/$suite.Tests" -c Release -v quiet -p:UseSharedCompilation=false >&2
    cp -a "$built/." "$folder/repository/tests/suites/"
done
"$repository/tests/guests/build" "$folder/repository/tests/guests" >&2
cp -a "$repository"/{docs,acpi.def,devices.def,MicroVm.sln} "$folder/repository/"
cp "$repository/artifacts/microvm" "$folder/repository/artifacts/"

# The tests call these with options that busybox's do not know; and its shell takes its own before any other.
programs=(--file "$(command -v dash)=/bin/sh")
for program in setpriv unshare mount setsid prlimit stty; do programs+=(--file "$(command -v $program)=/opt/host/$program"); done

lab_run --memory 6144 --timeout 900 --file "$folder/repository=/repository" --file "$runtime/dotnet=/opt/dotnet/dotnet" \
    --file "$runtime/host/fxr/$version=/opt/dotnet/host/fxr/$version" \
    --file "$runtime/shared/Microsoft.NETCore.App/$version=/opt/dotnet/shared/Microsoft.NETCore.App/$version" \
    "${programs[@]}" --set suites="${suites[*]}" \
    --set effort="${MICROVM_EFFORT:-quick}" <<'LAB'
export PATH=/opt/host:$PATH DOTNET_TieredPGO=0 MICROVM_GUESTS=/repository/tests/guests MICROVM_EFFORT=$effort
export MICROVM_BIN=/repository/artifacts/microvm
echo /tmp/core >/proc/sys/kernel/core_pattern
for suite in $suites; do
    start=$(cut -d. -f1 /proc/uptime)
    echo "@begin $suite"
    { /opt/dotnet/dotnet /repository/tests/suites/$suite.Tests.dll needs=kvm 2>&1; echo "@${suite}_code $?"; } | tee /tmp/result
    echo "@${suite}_seconds $(( $(cut -d. -f1 /proc/uptime) - start ))"
done
LAB
for suite in "${suites[@]}"; do
    [[ $(value_of "${suite}_code") == [01] ]] || fail "$suite.Tests runs to its end in the lab" "exit code '$(value_of "${suite}_code")'"
    grep -qaE "^(passed|FAILED): .*" <(sed -n "/^@begin $suite$/,/^@${suite}_code/p" "$out") || fail "$suite.Tests has tests that need KVM" "none ran"
    note "$suite.Tests: $(value_of "${suite}_seconds") s"
done
grep -aE '^(passed|FAILED|skipped): ' "$out" | sed 's/^FAILED: .*/&: see the log/'
