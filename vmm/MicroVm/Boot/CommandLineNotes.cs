namespace MicroVm.Boot;

/// <summary>Words of the kernel's command line that do no good in this machine.</summary>
internal static class CommandLineNotes
{
    private const string NoController = "this machine has an I/O APIC, which ACPI describes, and no other controller";
    private const string NoClock =
        "this machine has no PIT, HPET or PM timer, and a kernel without kvmclock has nothing to calibrate on";

    private static readonly (string Word, string Why)[] s_silent =
        [("noapic", NoController), ("acpi=off", NoController), ("no-kvmclock", NoClock)];

    /// <summary>A line for the user, or null. Words behind <c>--</c> are the first program's.</summary>
    internal static string? Of(string commandLine)
    {
        foreach (string word in commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (word == "--") break;
            int at = Array.FindIndex(s_silent, s => s.Word == word);
            if (at < 0) continue;
            return $"microvm: warning: the guest's console may stay silent, '{word}' on its command line. "
                + $"Remove the word: {s_silent[at].Why}.";
        }
        return null;
    }
}
