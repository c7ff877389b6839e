using System.Text;
using MicroVm.Events;
using Xunit;

namespace MicroVm.Tests.Events;

public class EscapeFilterTests
{
    [Theory]
    [InlineData("ls\n", "ls\n", "")]
    [InlineData("\u0001x", "", "Quit")]
    [InlineData("a\u0001hb", "ab", "Help")]
    [InlineData("\u0001\u0001", "\u0001", "")]
    [InlineData("\u0001\u0001x", "\u0001x", "")]
    [InlineData("a\u0001zb", "ab", "")]
    [InlineData("\u0001h\u0001\u0001\u0001x", "\u0001", "Help Quit")]
    public void Takes_the_monitor_s_keys_out(string typed, string forwarded, string commands)
    {
        // Once whole, once byte by byte: a sequence may be cut anywhere.
        Assert.Equal((forwarded, commands), Filter(typed, typed.Length));
        Assert.Equal((forwarded, commands), Filter(typed, 1));
    }

    private static (string Forwarded, string Commands) Filter(string typed, int piece)
    {
        List<EscapeCommand> commands = [];
        EscapeFilter filter = new(commands.Add);
        StringBuilder forwarded = new();
        foreach (byte[] bytes in Encoding.ASCII.GetBytes(typed).Chunk(piece))
        {
            int kept = filter.Filter(bytes);
            forwarded.Append(Encoding.ASCII.GetString(bytes, 0, kept));
        }
        return (forwarded.ToString(), string.Join(' ', commands));
    }
}
