using System.Globalization;
using MicroVm.Kvm;

namespace MicroVm.Virtio.Net;

/// <summary>Starts passt, which translates between a guest's frames and sockets of an ordinary user: a network where nobody may make a tap.</summary>
/// <remarks>passt gets one end of a pair of sockets and ends when the other is closed, be it by the death of this process (docs/decisions/0053).</remarks>
internal static class Passt
{
    private const string Program = "passt";

    /// <summary>Starts one for a device; it ends when the end that is returned is closed.</summary>
    /// <exception cref="MicroVmException">It is not installed, or does not like its arguments or this host.</exception>
    internal static StreamEnd Start(PasstOptions options, ushort? mtu)
    {
        int error = HostSocket.Pair(out int ours, out int its);
        if (error != 0) throw MicroVmException.Refused(FailureKind.Host, "cannot make a pair of sockets", Program, error, "Check the host's limits (ulimit -a)");
        int code = HostProgram.StartService(Program, Arguments(options, mtu), its, out string said);
        HostSocket.Close(its);
        if (code == 0) return new StreamEnd(ours, Program);
        HostSocket.Close(ours);
        throw code switch
        {
            -Libc.ENOENT => MicroVmException.Host("passt is not installed", Program, "Install it: apt install passt; or give a tap"),
            < 0 => MicroVmException.Host("cannot start passt", said, "Check that this user may run it"),
            _ => MicroVmException.Host("passt does not start", LastLine(said) is { Length: > 0 } why ? why : $"exit code {code}", "Check its ports and this host's addresses; passt alone says more"),
        };
    }

    private static string[] Arguments(PasstOptions options, ushort? mtu)
    {
        List<string> arguments = ["--quiet", "--fd", HostProgram.GivenDescriptor.ToString(CultureInfo.InvariantCulture)];
        if (mtu is { } bytes) arguments.AddRange(["--mtu", bytes.ToString(CultureInfo.InvariantCulture)]);
        foreach (string ports in options.Tcp) arguments.AddRange(["--tcp-ports", ports]);
        foreach (string ports in options.Udp) arguments.AddRange(["--udp-ports", ports]);
        return [.. arguments];
    }

    // It has the reason behind other things that it says.
    private static string LastLine(string said) => said.TrimEnd().Split('\n')[^1].Trim();
}
