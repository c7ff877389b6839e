using MicroVm.Kvm;
using Xunit;

namespace MicroVm.Tests.Host;

public sealed class HostProgramTests
{
    [Theory]
    [InlineData(0, "", "exit 0")]
    [InlineData(3, "why\n", "echo why >&2; exit 3")]
    [InlineData(137, "", "kill -9 $$")]
    public void Its_end_and_what_it_said_are_told(int code, string says, string script) => Assert.Equal((code, says), Run(script));

    [Fact]
    public void One_that_goes_into_the_background_is_not_waited_for()
    {
        long before = Environment.TickCount64;
        Assert.Equal((0, ""), Run("sleep 20 2>/dev/null & exit 0"));
        Assert.InRange(Environment.TickCount64 - before, 0, 15_000);
    }

    [Fact]
    public void It_has_four_descriptors_and_default_signals()
    {
        // Number 4 is that of the folder which is being listed; no bit of the signals is set.
        Assert.Equal((0, "0\n1\n2\n3\n4\n"), Run("exec ls /proc/self/fd >&2"));
        Assert.Equal((0, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"), Run("exec grep -E 'SigBlk|SigIgn' /proc/self/status >&2"));
    }

    [Fact]
    public void What_it_says_is_bounded()
    {
        (int code, string said) = Run("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1");
        Assert.Equal((1, 4096), (code, said.Length));
    }

    [Fact]
    public void One_that_is_not_there()
    {
        Assert.Equal(-Libc.ENOENT, HostProgram.StartService("no-such-program", [], 0, out _));
    }

    private static (int Code, string Said) Run(string script)
    {
        int code = HostProgram.StartService("sh", ["-c", script], 0, out string said);
        return (code, said);
    }
}
