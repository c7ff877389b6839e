namespace MicroVm.Boot;

/// <summary>Words of the kernel's command line that do no good in this machine.</summary>
internal static class CommandLineNotes
{
    private static readonly string[] s_silent = ["noapic", "acpi=off"];

    /// <summary>A line for the user, or null. Words behind <c>--</c> are the first program's.</summary>
    internal static string? Of(string commandLine)
    {
        foreach (string word in commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (word == "--") break;
            if (Array.IndexOf(s_silent, word) < 0) continue;
            return $"microvm: warning: the guest's console may stay silent, '{word}' on its command line. "
                + "Remove the word: this machine has an I/O APIC, which ACPI describes, and no other controller.";
        }
        return null;
    }
}
