using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace MicroVm.Cli.Control;

/// <summary>One line to the control socket.</summary>
[JsonUnmappedMemberHandling(JsonUnmappedMemberHandling.Disallow)]
internal sealed record ControlRequest
{
    /// <summary>A name from <see cref="ControlCommands.All"/>.</summary>
    [JsonRequired]
    public string Command { get; init; } = "";

    /// <summary>Its words, as after <c>microvm ctl NAME COMMAND</c>.</summary>
    // Settable: generated code gives an init property that the line lacks its default for the type, which is null.
    public IReadOnlyList<string> Arguments { get; set; } = [];
}

/// <summary>The line that answers it.</summary>
internal sealed record ControlAnswer
{
    [JsonRequired]
    public bool Ok { get; init; }

    /// <summary>What was asked for, where the command answers something.</summary>
    public JsonNode? Result { get; init; }

    /// <summary>What went wrong, in the form of every error: WHAT, WHERE. TRY.</summary>
    public string? Error { get; init; }

    /// <summary>With an error: exit code of <c>microvm ctl</c>, a <see cref="FailureKind"/>.</summary>
    public int? Code { get; init; }
}

/// <summary>Reads and writes both without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, MaxDepth = 8, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlAnswer))]
internal sealed partial class ControlJson : JsonSerializerContext;
