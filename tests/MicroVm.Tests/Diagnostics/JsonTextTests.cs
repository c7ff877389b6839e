using System.Text;
using System.Text.Json;
using MicroVm.Diagnostics;
using Xunit;

namespace MicroVm.Tests.Diagnostics;

/// <summary>What a machine answers, as text and back.</summary>
public sealed class JsonTextTests
{
    [Fact]
    public void Every_kind_of_value_keeps_its_place_and_its_value()
    {
        JsonMap map = new()
        {
            ["text"] = "a \"b\"\n\u00e9", ["no"] = null, ["flag"] = true, ["byte"] = (byte)1, ["word"] = (ushort)2, ["int"] = -3, ["uint"] = 4u,
            ["long"] = long.MinValue, ["ulong"] = ulong.MaxValue, ["part"] = new JsonThousandths(-1050), ["rows"] = new JsonList([new JsonMap { ["x"] = 1 }, "y", null]),
        };
        map["no"] = false;
        string text = Encoding.UTF8.GetString(JsonText.Of(map));
        Assert.Equal("""{"text":"a \u0022b\u0022\n\u00E9","no":false,"flag":true,"byte":1,"word":2,"int":-3,"uint":4,"long":-9223372036854775808,"ulong":18446744073709551615,"part":-1.050,"rows":[{"x":1},"y",null]}""" + "\n", text);
        map["part"] = 5;
        byte[] whole = JsonText.Of(map, indented: true);
        Assert.Equal(whole, JsonText.Of(JsonText.Parse(whole), indented: true));
        Assert.Equal("a \"b\"\n\u00e9", ((JsonMap)JsonText.Parse(whole)!)["text"]);
        Assert.Null(map["none"]);
        Assert.Throws<InvalidOperationException>(() => JsonText.Of(new JsonMap { ["x"] = new object() }));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{}{}")]
    [InlineData("[1.5]")]
    [InlineData("[99999999999999999999]")]
    [InlineData("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]")]
    [InlineData("\"\\ud800\"")]
    [InlineData("{\"\\udc00\":1}")]
    public void What_is_not_such_a_value_is_refused(string text) =>
        Assert.ThrowsAny<JsonException>(() => JsonText.Parse(Encoding.UTF8.GetBytes(text)));
}
