using System.Text;
using MicroVm.Cli.Control;

namespace MicroVm.Cli.Arguments;

/// <summary>What <c>--help</c> prints; the flags come from their tables.</summary>
internal static class HelpText
{
    private const int Column = 30;

    internal static string Overview() => """
        microvm - boots Linux guests in milliseconds on KVM

        Usage: microvm COMMAND [FLAGS]

        Commands:
          run       Boot a guest and end with its exit code
          ps        List the running machines
          ctl       Ask a running machine, or change it
          explain   Print the whole picture of a machine
          doctor    Say what this host can do for guests, and what to change
          vfio      Prepare a device of the host for a guest, and give it back
          help      Print this, or the help of a command

        Flags:
          -h, --help       Print help; after a command, that command's
          -V, --version    Print the version

        Example: microvm run --kernel /boot/vmlinuz --initrd initrd.img --memory 512M

        """;

    internal static string Run() => Flags("""
        Boot a guest and end with its exit code.

        Usage: microvm run --kernel FILE [FLAGS]

        """, RunOptions.All) + """

        Keys, when the console is a terminal:
          Ctrl-A x         End the machine, as if its power were cut
          Ctrl-A Ctrl-A    Send one Ctrl-A
          Ctrl-A h         Print these keys

        Exit codes:
          0-255   The guest's own: what it wrote to port 0xf4; 0 after power-off or reset
          123     The guest crashed or its kernel panicked; a report is on standard error
          125     The monitor or the host failed
          126     The kernel, the initial RAM disk or a disk could not be used
          127     The flags or the configuration are wrong
          128+N   Stopped by signal N; Ctrl-A x counts as SIGINT
          Every code that is not the guest's comes with a line on standard error.

        Examples:
          microvm run --kernel /boot/vmlinuz --initrd initrd.img
          microvm run --kernel vmlinux --disk path=root.img --cmdline 'console=ttyS0 root=/dev/vda' --cpus 4 --memory 2G
          microvm run --config vm.json --memory 1G --trace virtio-mmio

        """;

    internal static string Explain() => Flags("""
        Print the whole picture of a machine: a running one, while it runs, or one that flags of
        'microvm run' describe, built as far as before its first instruction and given back.

        Usage: microvm explain NAME|PATH [SECTION] [FLAGS]
               microvm explain [SECTION] --kernel FILE [FLAGS of run] [FLAGS]

        NAME is that of 'microvm run --name NAME', PATH that of --api-socket; docs/explain.md has
        the sections, for example memory, interrupts, pci, devices. ADDRESS is hexadecimal with 0x, else decimal.

        """, Cli.Explain.ExplainSettings.Options) + """

        Examples:
          microvm explain web
          microvm explain web interrupts
          microvm explain web --gva 0xffffffff81000000
          microvm explain --config vm.json --html machine.html

        """;

    /// <summary>Of one command of <c>ctl</c>, or of all.</summary>
    internal static string Ctl(ControlCommand? command) => command is null ? Ctl() : Flags($"""
        {command.Help}

        Usage: microvm ctl NAME|PATH {command.Name} {command.Form}{(command.Form.Length > 0 ? " " : "")}[--json]

        """, command.Options);

    internal static string Ctl()
    {
        StringBuilder text = new("""
            Ask a running machine, or change it.

            Usage: microvm ctl NAME|PATH COMMAND [--json]

            NAME is that of 'microvm run --name NAME', PATH that of --api-socket; what has a slash is
            a path. --json prints the result as JSON; 'microvm ctl COMMAND --help' has the flags of a
            command. Relative paths are those of this folder, not of the machine's.

            Commands:

            """);
        foreach (ControlCommand command in ControlCommands.All) Append(text, $"  {command.Name}{(command.Form.Length > 0 ? " " + command.Form : "")}", command.Help);
        return text.Append("""

            Exit codes:
              0      It was done
              125    The machine cannot be reached, or it failed there
              126    A disk could not be used
              127    The command or its words are wrong

            Example: microvm ctl web list

            """).ToString();
    }

    internal static string Ps() => Flags("""
        List the running machines of this user that have a name (microvm run --name NAME): process,
        state, time since the start, vCPUs, memory. Those with --api-socket are not in the list.

        Usage: microvm ps [--json]

        A machine that was killed is dead: start one of that name, or remove its socket. One that does
        not answer is stopped or very busy.

        """, PsCommand.Options);

    internal static string Doctor() => Flags("""
        Say what this host can do for guests, what it costs, and what to change.

        Usage: microvm doctor [FLAGS]

        """, DoctorOptions.All) + """

        Exit codes:
          0      KVM works here; 'stockGuests' in --json says whether for stock kernels
          125    KVM cannot be used

        """;

    internal static string Vfio() => Flags("""
        Prepare a PCI device of the host for a guest, and give it back to its driver.

        Usage: microvm vfio list [--json]
               microvm vfio bind BDF [--dry-run]
               microvm vfio unbind BDF [--dry-run]

        BDF is the device's address: 0000:00:03.0. Bridges, the host's display and disks with a
        mounted file system stay with the host.

        """, VfioOptions.All) + """

        Example:
          microvm vfio bind 0000:00:03.0
          microvm run --kernel vmlinuz --device 0000:00:03.0
          microvm vfio unbind 0000:00:03.0

        """;

    private static string Flags<T>(string head, Option<T>[] options)
    {
        StringBuilder text = new(head);
        foreach (Option<T> option in options)
        {
            if (option.Heading is { } heading) text.Append('\n').Append(heading).Append(":\n");
            Append(text, $"  --{option.Name}{(option.Value is not { } value ? "" : option.Bare ? $"[={value}]" : " " + value)}", Described(option));
        }
        Append(text, "  -h, --help", "Print this.");
        return text.ToString();
    }

    private static string Described<T>(Option<T> option) => option.Default is { } d ? $"{option.Help} [default: {d}]" : option.Help;

    private static void Append(StringBuilder text, string flag, string help)
    {
        text.Append(flag);
        // A flag too long for its column has its help on the next lines.
        if (flag.Length > Column - 2) text.Append('\n').Append(' ', Column);
        else text.Append(' ', Column - flag.Length);
        text.Append(help.Replace("\n", "\n" + new string(' ', Column), StringComparison.Ordinal)).Append('\n');
    }
}
